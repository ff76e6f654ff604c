"""What every batch must be, whatever the data set."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep_trainer.training.sampling import PKSampler

pytestmark = pytest.mark.unit


@st.composite
def samplers(draw: st.DrawFn) -> tuple[np.ndarray, PKSampler]:
    sizes = draw(st.lists(st.integers(1, 9), min_size=2, max_size=12))
    usable = sum(size > 1 for size in sizes)
    if usable < 2:
        sizes += [2, 2]
        usable += 2
    labels = np.repeat([f"class {code}" for code in range(len(sizes))], sizes)
    labels = np.random.default_rng(draw(st.integers(0, 99))).permutation(labels)
    classes = draw(st.integers(2, usable))
    per_class = draw(st.integers(2, 6))
    seed = draw(st.integers(0, 2**31 - 1))
    return labels, PKSampler(labels, classes=classes, per_class=per_class, seed=seed)


@given(samplers())
@settings(deadline=None)
def test_a_batch_is_p_classes_times_k_items(case):
    labels, sampler = case
    sizes = Counter(labels.tolist())
    for _ in range(4):
        rows = next(sampler)
        drawn = Counter(labels[rows].tolist())
        assert len(drawn) == sampler.classes
        assert set(drawn.values()) == {sampler.per_class}
        repeats = Counter(rows.tolist())
        for row, times in repeats.items():
            size = sizes[labels[row]]
            assert size > 1
            # As even as K allows: without replacement when the class is large enough.
            assert times <= -(-sampler.per_class // size)


@given(samplers())
@settings(deadline=None)
def test_a_round_draws_no_class_twice(case):
    labels, sampler = case
    usable = sum(size > 1 for size in Counter(labels.tolist()).values())
    round_ = [labels[next(sampler)] for _ in range(usable // sampler.classes)]
    drawn = [name for batch in round_ for name in np.unique(batch)]
    assert len(drawn) == len(set(drawn))


def test_the_seed_alone_decides_the_batches():
    labels = np.repeat([f"class {code}" for code in range(20)], 5)
    one, same, other = (PKSampler(labels, classes=4, per_class=3, seed=s) for s in (1, 1, 2))
    batches = [next(one).tolist() for _ in range(12)]
    assert [next(same).tolist() for _ in range(12)] == batches
    assert [next(other).tolist() for _ in range(12)] != batches


def test_every_item_is_drawn_in_the_long_run_and_singletons_never():
    labels = np.repeat(["a", "b", "c", "alone"], [6, 3, 2, 1])
    sampler = PKSampler(labels, classes=2, per_class=3, seed=0)
    drawn = {row for _ in range(60) for row in next(sampler).tolist()}
    assert drawn == set(range(11))


def test_too_few_classes_are_refused_with_the_fix():
    with pytest.raises(ValueError, match=r"batch\.classes is 3.*only 2 classes.*lower .* to 2"):
        PKSampler(np.array(["a", "a", "b", "b", "c"]), classes=3, per_class=2, seed=0)
