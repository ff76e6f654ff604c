"""No class, group or content is on both sides, and the sides are the same everywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep_core.artifacts import sha256_bytes
from lockstep_core.datasets import (
    Dataset,
    DatasetError,
    split,
    split_by_class,
    split_by_group,
    split_by_hash,
)
from lockstep_core.protocol.datasets import SplitBy, SplitSpec

pytestmark = pytest.mark.unit

# A machine that is busy with other things fails no rule.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
label_lists = st.lists(st.text(min_size=1, max_size=3), min_size=2, max_size=60).filter(
    lambda labels: len(np.unique(np.array(labels))) > 1
)
fractions = st.integers(1, 999_999).map(lambda millionths: f"0.{millionths:06d}")


@unhurried
@given(label_lists, fractions, st.integers(0, 2**31 - 1))
def test_no_class_is_on_both_sides(labels: list[str], fraction: str, seed: int) -> None:
    values = np.array(labels)
    spec = SplitSpec(eval_fraction=fraction, seed=seed)
    train, held_out = split_by_class(values, spec)
    assert sorted([*train, *held_out]) == list(range(len(values)))
    assert not set(values[train]) & set(values[held_out])
    assert len(train)
    assert len(held_out)
    assert (np.diff(train) > 0).all()
    assert (np.diff(held_out) > 0).all()
    classes = len(np.unique(values))
    wanted = min(max(round(float(fraction) * classes), 1), classes - 1)
    assert abs(len(set(values[held_out])) - wanted) <= (1 if float(fraction) * classes % 1 else 0)


@unhurried
@given(label_lists, st.integers(0, 100), st.randoms(use_true_random=False))
def test_the_split_depends_on_the_labels_alone(
    labels: list[str], seed: int, random: object
) -> None:
    spec = SplitSpec(eval_fraction="0.3", seed=seed)
    _, held_out = split_by_class(np.array(labels), spec)
    shuffled = list(labels)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    _, again = split_by_class(np.array(shuffled), spec)
    assert set(np.array(labels)[held_out]) == set(np.array(shuffled)[again])


def test_the_split_is_the_same_on_every_machine() -> None:
    labels = np.array([f"class-{number}" for number in range(20)])
    _, held_out = split_by_class(labels, SplitSpec(eval_fraction="0.25", seed=7))
    assert held_out.tolist() == [4, 6, 14, 16, 18]
    _, other = split_by_class(labels, SplitSpec(eval_fraction="0.25", seed=8))
    assert other.tolist() != held_out.tolist()


@pytest.mark.parametrize(("fraction", "classes", "held_out"), [("0.5", 3, 2), ("0.5", 5, 2)])
def test_the_share_is_rounded_half_to_even(fraction: str, classes: int, held_out: int) -> None:
    labels = np.arange(classes).astype(np.str_)
    assert len(split_by_class(labels, SplitSpec(eval_fraction=fraction))[1]) == held_out


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"]])
def test_one_class_cannot_be_split(labels: list[str]) -> None:
    with pytest.raises(DatasetError, match="at least two classes"):
        split_by_class(np.array(labels, dtype=np.str_), SplitSpec())


def dataset(labels: str) -> Dataset:
    count = len(labels)
    return Dataset(
        inputs=np.zeros((count, 2), np.float32),
        labels=np.array(list(labels), dtype=np.str_),
        ids=np.arange(count).astype(np.str_),
        digest=sha256_bytes(b""),
    )


@unhurried
@given(label_lists, fractions, st.integers(0, 2**31 - 1))
def test_no_group_is_on_both_sides(groups: list[str], fraction: str, seed: int) -> None:
    values = np.array(groups)
    train, held_out = split_by_group(values, SplitSpec(eval_fraction=fraction, seed=seed))
    assert sorted([*train, *held_out]) == list(range(len(values)))
    assert len(train) and len(held_out)
    assert not set(values[train]) & set(values[held_out])


contents_of = st.lists(st.integers(-(2**20), 2**20), min_size=30, max_size=60)


@unhurried
@given(contents_of, st.integers(0, 100), st.randoms(use_true_random=False))
def test_by_hash_rows_that_are_added_or_moved_change_no_other(
    numbers: list[int], seed: int, random: object
) -> None:
    spec = SplitSpec(by=SplitBy.HASH, eval_fraction="0.5", seed=seed)

    def held_out(values: list[int]) -> set[int]:
        inputs = np.array(values, np.float32).reshape(-1, 1)
        try:
            return {values[row] for row in split_by_hash(inputs, spec)[1]}
        except DatasetError:
            # All on one side: possible, and told.
            return set()

    before = held_out(numbers)
    more = [*numbers, *range(-20, 20)]
    random.shuffle(more)  # type: ignore[attr-defined]
    after = held_out(more)
    if before and after:
        assert after & set(numbers) == before


def test_by_hash_the_share_is_that_of_the_items_and_equal_ones_stay_together() -> None:
    texts = np.array([f"text {row % 2000}" for row in range(4000)], np.dtypes.StringDType())
    spec = SplitSpec(by=SplitBy.HASH, eval_fraction="0.2")
    train, held_out = split_by_hash(texts, spec)
    assert 0.17 < len(held_out) / 4000 < 0.23
    assert not set(texts[train]) & set(texts[held_out])


def test_the_split_looks_at_what_it_is_by() -> None:
    found = replace(dataset("aabbccdd"), groups=np.array(list("xyxyxyxy")))
    found.inputs[:] = np.arange(16).reshape(8, 2)
    by_group = split(found, SplitSpec(by=SplitBy.GROUP, eval_fraction="0.5"))
    assert {frozenset(rows) for rows in by_group} == {
        frozenset({0, 2, 4, 6}),
        frozenset({1, 3, 5, 7}),
    }
    by_class = split(found, SplitSpec(eval_fraction="0.5"))
    assert len(set(found.labels[by_class[0]]) | set(found.labels[by_class[1]])) == 4
    by_hash = split(found, SplitSpec(by=SplitBy.HASH, eval_fraction="0.5"))
    assert sorted([*by_hash[0], *by_hash[1]]) == list(range(8))
    with pytest.raises(ValueError, match="Group"):
        split(dataset("aabb"), SplitSpec(by=SplitBy.GROUP))
