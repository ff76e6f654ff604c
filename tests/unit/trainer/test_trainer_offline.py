"""Offline mining: exact against every pair, in batches, refused when outdated, and resumed."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lockstep_core.protocol.training import BatchSpec, OfflineMiningSpec, TrainingSpec
from lockstep_trainer.networks import Network, build_network
from lockstep_trainer.offline import (
    Guide,
    Outdated,
    due_every,
    embed_all,
    hard_negatives,
    mine,
    neighbours,
)
from lockstep_trainer.offline.mining import weights_digest
from lockstep_trainer.training import Hooks, Mined, train
from lockstep_trainer.training.machine import Machine
from lockstep_trainer.training.sampling import PKSampler

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")


class Case(NamedTuple):
    """Points in the plane with their classes, what is asked of them, and sizes of blocks."""

    points: list[tuple[int, int]]
    codes: list[int]
    low: int
    high: int
    most: int
    margin: float
    anchors: int = 4
    entries: int = 16
    numbers: int = 16


@st.composite
def cases(draw: st.DrawFn) -> Case:
    count = draw(st.integers(1, 24))
    low = draw(st.integers(1, 4))
    return Case(
        points=draw(st.lists(st.tuples(*[st.integers(-4, 4)] * 2), min_size=count, max_size=count)),
        codes=draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)),
        low=low,
        high=draw(st.integers(low, 12)),
        most=draw(st.integers(1, 9)),
        margin=draw(st.sampled_from([0.0, 0.5, 1.0])),
        anchors=draw(st.integers(1, 9)),
        entries=draw(st.integers(1, 60)),
        numbers=draw(st.integers(1, 60)),
    )


def naive(case: Case) -> list[list[int]]:
    """Every pair by the rule, in the arithmetic of the rule: `(1 + margin) * sqrt(8) <= sqrt(18)`
    is as true as the rounding of torch's roots has it, and Python's own round otherwise."""
    found, codes = [], case.codes
    points = torch.tensor(case.points, dtype=torch.float64)
    for anchor in range(len(points)):
        distance = (points - points[anchor]).square().sum(dim=1).sqrt().tolist()
        own = [d for row, d in enumerate(distance) if codes[row] == codes[anchor] and row != anchor]
        others = sorted((d, row) for row, d in enumerate(distance) if codes[row] != codes[anchor])
        least = (1 + case.margin) * min(own) if own else math.inf
        kept = [row for d, row in others[case.low - 1 : case.high] if d >= least]
        found.append(kept[: case.most])
    return found


# The negative of (0, 4) lies on its bound: 1.5 times the way to (2, 2) is the way to (3, 1).
AT_THE_BOUND = Case([(0, 0)] * 15 + [(0, 4), (2, 2), (3, 1)], [1] * 17 + [0], 1, 1, 1, 0.5)


@settings(max_examples=60, deadline=None)
@given(cases())
@example(AT_THE_BOUND)
def test_hard_negatives_are_those_of_every_pair(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(neighbours, "ANCHORS_PER_BLOCK", case.anchors)
        patched.setattr(neighbours, "ENTRIES_PER_BLOCK", case.entries)
        patched.setattr(neighbours, "MEASURED_NUMBERS", case.numbers)
        # Of more ties at the last rank than are measured again any may be missed.
        patched.setattr(neighbours, "SPARE", 24)
        found = hard_negatives(
            torch.tensor(case.points, dtype=torch.float32),
            torch.tensor(case.codes),
            min_rank=case.low,
            max_rank=case.high,
            per_anchor=case.most,
            relative_margin=case.margin,
        )
    assert found.shape == (len(case.points), case.most) and found.dtype == torch.int32
    rows = [[row for row in line if row >= 0] for line in found.tolist()]
    assert rows == naive(case)


def guided(seed: int = 0) -> tuple[PKSampler, np.ndarray, Guide]:
    """Twelve classes of five and a single item; the hardest of class c are of c + 1 (mod 12)."""
    codes = np.append(np.repeat(np.arange(12), 5), 12)
    negatives = np.full((61, 3), -1, dtype=np.int32)
    negatives[:60, 0] = 60
    negatives[:60, 1] = (codes[:60] + 1) % 12 * 5 + np.arange(60) % 5
    sampler = PKSampler(codes.astype(str), classes=6, per_class=3, seed=seed)
    sampler.guide = Guide(negatives, 10, "sha256:" + "0" * 64)
    return sampler, codes, sampler.guide


def test_batches_are_completed_with_the_classes_of_hard_negatives() -> None:
    sampler, codes, guide = guided()
    seen: set[int] = set()
    for _ in range(40):
        rows = next(sampler)
        blocks = codes[rows].reshape(6, 3)
        assert (blocks == blocks[:, :1]).all() and len(np.unique(rows)) == 18
        classes = blocks[:, 0].tolist()
        assert len(set(classes)) == 6 and 12 not in classes
        seen |= set(classes[:3])
        for at, code in enumerate(classes[:3]):
            partner = (code + 1) % 12
            assert partner in classes
            if partner in classes[3:] and (code - 1) % 12 not in classes[:at]:
                mined = set(guide.of(rows.reshape(6, 3)[at]).tolist()) - {60}
                assert mined == set(rows.reshape(6, 3)[classes.index(partner)].tolist())
    assert len(seen) == 12


def test_a_batch_depends_on_seed_number_and_guide_alone() -> None:
    sampler, _, guide = guided(3)
    batches = [next(sampler) for _ in range(9)]
    again, _, _ = guided(3)
    again.step = 5
    assert np.array_equal(next(again), batches[5])
    again.guide, again.step = None, 5
    plain = PKSampler(
        np.append(np.repeat(np.arange(12), 5), 12).astype(str), classes=6, per_class=3, seed=3
    )
    plain.step = 5
    assert np.array_equal(next(again), next(plain))
    nothing = Guide(np.full_like(guide.negatives, -1), 1, guide.model_digest)
    again.guide = nothing
    assert nothing.anchors == 0 and len(np.unique(next(again))) == 18
    assert all((left != right).any() for left, right in pairwise(batches))


def spec(**offline: Any) -> TrainingSpec:
    return TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///set.npz", "format": "NPZ"},
            "encoder": {"kind": "MLP", "dimension": 8, "width": 16},
            "batch": {"classes": 6, "perClass": 3},
            "budget": {"maxSteps": 16},
            "mining": {"offline": {"everySteps": 5, **offline}},
        }
    )


def network() -> Network:
    return build_network(spec().encoder, (16, 16), seed=0)


def test_embeddings_of_another_network_are_refused(glyphs) -> None:
    inputs, labels = glyphs
    trained = network()
    codes = torch.from_numpy(np.unique(labels, return_inverse=True)[1])
    embedded = embed_all(trained, inputs, device=CPU)
    offline = spec().mining.offline
    assert offline is not None and trained.training
    guide = mine(embedded, codes, offline, network=trained, step=4)
    assert guide.step == 4 and guide.model_digest == weights_digest(network())
    found = guide.negatives
    assert (labels[found[found >= 0]] != np.repeat(labels, (found >= 0).sum(axis=1))).all()
    with torch.no_grad():
        next(trained.parameters()).add_(1e-6)
    with pytest.raises(Outdated, match="their spaces cannot be compared"):
        mine(embedded, codes, offline, network=trained, step=5)


def test_training_mines_when_it_is_due_and_goes_on_from_what_was_mined(glyphs) -> None:
    inputs, labels = glyphs
    told: list[Mined] = []
    one = network()
    done = train(one, inputs, labels, spec(), device=CPU, hooks=Hooks(mined=told.append))
    assert [mined.step for mined in done.minings] == [5, 10, 15] and tuple(told) == done.minings
    assert len({mined.model_digest for mined in told}) == 3
    assert 0 < told[0].anchors <= 620 and told[0].anchors <= told[0].negatives <= 4 * 620
    assert set(told[0].to_wire()) == {"step", "modelDigest", "anchors", "negatives", "seconds"}
    # Step by step, with all of the state taken to a fresh machine between two minings.
    torch.manual_seed(spec().seed)
    first = Machine(network(), inputs, labels, spec(), CPU)
    for step in range(1, 8):
        first.step()
        first.mine(step)
    tensors, rest = first.pack()
    copied = {name: value.clone() for name, value in tensors.items()}
    second = Machine(network(), inputs, labels, spec(), CPU)
    second.unpack(copied, rest, step=7)
    assert second.sampler.guide is not None and second.sampler.guide.step == 5
    for step in range(8, 17):
        second.step()
        second.mine(step)
    assert weights_digest(second.network) == weights_digest(one)
    second.begin(spec(), step=16, rewinds=1)
    assert second.sampler.guide is None


def test_the_contract_has_one_pace_and_ranks_in_order() -> None:
    assert due_every(OfflineMiningSpec(every_steps=7), BatchSpec(), 1000) == 7
    epochs = OfflineMiningSpec(every_epochs=2)
    assert due_every(epochs, BatchSpec(classes=10, per_class=4), 1001) == 51
    for wrong, words in (
        ({}, "one of `everySteps` and `everyEpochs`"),
        ({"everySteps": 1, "everyEpochs": 1}, "one of `everySteps` and `everyEpochs`"),
        ({"everySteps": 1, "minRank": 9, "maxRank": 8}, r"`minRank` must not exceed `maxRank` \(9"),
    ):
        with pytest.raises(ValidationError, match=words):
            OfflineMiningSpec.model_validate(wrong)
