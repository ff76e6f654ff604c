"""What would make a training or its evaluation meaningless is told, with the fix."""

from __future__ import annotations

import numpy as np
import pytest

from lockstep_core.datasets import DatasetError
from lockstep_core.protocol.datasets import SplitBy
from lockstep_core.protocol.training import BatchSpec
from lockstep_trainer.validation.trainable import trainable_problems

pytestmark = pytest.mark.unit


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
    problems = trainable_problems(
        np.array(list(train + held_out)),
        rows[: len(train)],
        rows[len(train) :],
        BatchSpec(classes=classes, per_class=8),
    )
    message = str(DatasetError(problems))
    for part in said:
        assert part in message


def test_what_can_be_trained_is_not_refused() -> None:
    rows = np.arange(7)
    labels, batch = np.array(list("aabbcdd")), BatchSpec(classes=2, per_class=4)
    assert trainable_problems(labels, rows[:5], rows[5:], batch) == []


@pytest.mark.parametrize(
    ("by", "said"),
    [(SplitBy.CLASS, "another split.seed"), (SplitBy.GROUP, "add items to the groups"),
     (SplitBy.HASH, "one by one: raise split.evalFraction")],
)  # fmt: skip
def test_held_out_classes_of_one_item_are_told_with_the_fix_of_the_split(
    by: SplitBy, said: str
) -> None:
    rows = np.arange(6)
    labels = np.array(list("aabbcd"))
    (wrong,) = trainable_problems(labels, rows[:4], rows[4:], BatchSpec(classes=2), by)
    assert said in wrong.fix
