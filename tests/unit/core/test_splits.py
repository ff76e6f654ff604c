from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_core.artifacts import sha256_bytes
from lockstep_core.datasets import (
    Dataset,
    DatasetError,
    check_trainable,
    flatten_raw,
    split_by_class,
)
from lockstep_core.protocol.datasets import SplitSpec
from lockstep_core.protocol.training import BatchSpec

pytestmark = pytest.mark.unit

label_lists = st.lists(st.text(min_size=1, max_size=3), min_size=2, max_size=60).filter(
    lambda labels: len(np.unique(np.array(labels))) > 1
)
fractions = st.integers(1, 999_999).map(lambda millionths: f"0.{millionths:06d}")


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


@pytest.mark.parametrize(
    ("train", "held_out", "classes", "said"),
    [
        (
            "aab",
            "cc",
            2,
            ["only 1 training classes have at least 2 items", "with 1 item: 1 (e.g. b)"],
        ),
        ("abc", "dd", 2, ["only 0 training classes", "split.evalFraction"]),
        ("", "dd", 2, ["only 0 training classes"]),
        ("aabbc", "dd", 3, ["batch.classes is 3, but only 2", "set batch.classes to at most 2"]),
        ("aabb", "cd", 2, ["held-out classes, all with 1 item: 2 (e.g. c, d)"]),
        ("ab", "c", 2, ["only 0 training classes", "held-out classes"]),
    ],
)
def test_what_cannot_be_trained_is_refused(
    train: str, held_out: str, classes: int, said: list[str]
) -> None:
    rows = np.arange(len(train + held_out))
    with pytest.raises(DatasetError) as caught:
        check_trainable(
            dataset(train + held_out),
            rows[: len(train)],
            rows[len(train) :],
            BatchSpec(classes=classes, per_class=8),
        )
    for part in said:
        assert part in str(caught.value)


def test_what_can_be_trained_is_not_refused() -> None:
    rows = np.arange(7)
    check_trainable(dataset("aabbcdd"), rows[:5], rows[5:], BatchSpec(classes=2, per_class=4))


def test_the_raw_baseline_is_normalised() -> None:
    images = np.random.default_rng(0).integers(0, 255, size=(5, 4, 3), dtype=np.uint8)
    images[2] = 0
    flat = flatten_raw(images)
    assert flat.shape == (5, 12)
    assert flat.dtype == np.float32
    assert np.linalg.norm(flat, axis=1) == pytest.approx([1, 1, 0, 1, 1])
    vectors = np.array([[3, 4]], np.float32)
    assert flatten_raw(vectors).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
    assert vectors.tolist() == [[3, 4]]


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_raw_baseline_has_unit_length_at_any_scale(scale: float) -> None:
    inputs = (np.arange(1, 13).reshape(4, 3) * scale).astype(np.float32)
    inputs[3] = 0
    found = flatten_raw(inputs)
    assert np.linalg.norm(found, axis=1).tolist() == pytest.approx([1, 1, 1, 0])
    assert found[0] == pytest.approx(np.array([1, 2, 3]) / np.sqrt(14))
