"""Whether the two sides of a split have what training and its evaluation need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets import Problem, Strings
from lockstep_core.datasets.problems import problem
from lockstep_core.protocol.datasets import SplitBy
from lockstep_core.protocol.training import BatchSpec

Rows = NDArray[np.int64]


def trainable_problems(
    labels: Strings,
    train_rows: Rows,
    eval_rows: Rows,
    batch: BatchSpec,
    by: SplitBy = SplitBy.CLASS,
) -> list[Problem]:
    """What would make training or evaluation meaningless."""
    usable, single = _usable(labels[train_rows])
    problems: list[Problem] = []
    if len(usable) < 2:
        fix = (
            "triplets need two classes with two items each: add items, or lower split.evalFraction"
        )
        what = f"only {len(usable)} training classes have at least 2 items; with 1 item"
        problems.append(problem(what, single, fix))
    elif batch.classes > len(usable):
        fix = f"set batch.classes to at most {len(usable)}, or add classes"
        what = f"batch.classes is {batch.classes}, but only {len(usable)} training classes have at"
        problems.append(problem(f"{what} least 2 items", (), fix, count=len(usable)))
    held_out, alone = _usable(labels[eval_rows])
    if not len(held_out):
        fix = _HELD_OUT[by]
        problems.append(problem("held-out classes, all with 1 item", alone, fix))
    return problems


_HELD_OUT = {
    SplitBy.CLASS: "recall needs a held-out class with two items: add items, or another split.seed",
    SplitBy.GROUP: "recall needs a held-out class with two items: raise split.evalFraction, add"
    " items to the groups, or use split.by Class",
    SplitBy.HASH: "recall needs a held-out class with two items, and by Hash the items of a class"
    " are shared out one by one: raise split.evalFraction, add items to the classes, or use"
    " split.by Class",
}


def _usable(labels: Strings) -> tuple[Strings, Strings]:
    """Classes with at least two items, and those with one."""
    classes, counts = np.unique(labels, return_counts=True)
    return classes[counts > 1], classes[counts == 1]
