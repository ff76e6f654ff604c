"""Who trains and who is held out: by class, the same on every machine and in every release."""

from __future__ import annotations

import hashlib
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import Dataset, Inputs, Strings
from lockstep_core.datasets.problems import DatasetError, Problem, problem
from lockstep_core.protocol.datasets import SplitSpec
from lockstep_core.protocol.training import BatchSpec

Rows = NDArray[np.int64]


def split_by_class(labels: Strings, spec: SplitSpec) -> tuple[Rows, Rows]:
    """Sorted row numbers (training, held out); no class is on both sides.

    Classes are ranked by the sha256 of `<seed>:<label>`, and the first round(evalFraction x n) of
    them (at least 1, at most n-1) are held out. So the split depends on the labels alone, and a
    class that comes later leaves the other classes where they are, but for the cut.
    Raises DatasetError with fewer than two classes.
    """
    classes = np.unique(labels)
    if len(classes) < 2:
        fix = "a split by class needs at least two classes: one to train on, one to hold out"
        what = f"the set has {len(classes)} classes"
        raise DatasetError([problem(what, classes, fix)])
    ranked = sorted(classes, key=lambda label: _rank(spec.seed, str(label)))
    wanted = round(Decimal(spec.eval_fraction) * len(classes))
    held_out = ranked[: min(max(wanted, 1), len(classes) - 1)]
    mask = np.isin(labels, np.array(held_out))
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _rank(seed: int, label: str) -> bytes:
    return hashlib.sha256(f"{seed}:{label}".encode()).digest()


def check_trainable(dataset: Dataset, train_rows: Rows, eval_rows: Rows, batch: BatchSpec) -> None:
    """Raises DatasetError, with everything that would make training or evaluation meaningless."""
    usable, single = _usable(dataset.labels[train_rows])
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
    held_out, alone = _usable(dataset.labels[eval_rows])
    if not len(held_out):
        fix = "recall needs a held-out class with two items: add items, or another split.seed"
        problems.append(problem("held-out classes, all with 1 item", alone, fix))
    if problems:
        raise DatasetError(problems)


def _usable(labels: Strings) -> tuple[Strings, Strings]:
    """Classes with at least two items, and those with one."""
    classes, counts = np.unique(labels, return_counts=True)
    return classes[counts > 1], classes[counts == 1]


def flatten_raw(inputs: Inputs) -> NDArray[np.float32]:
    """The raw baseline: items as L2-normalised float32 vectors [N, D], no encoder at all.

    An item that is all zero stays zero: it has no direction.
    """
    flat: NDArray[np.float32] = inputs.reshape(len(inputs), -1).astype(np.float32)
    # In float64: squares of float32 overflow from 1e19 on, and the baseline would be all zero.
    norms = np.sqrt(np.einsum("nd,nd->n", flat, flat, dtype=np.float64))[:, None]
    np.divide(flat, norms, out=flat, where=norms > 0, casting="same_kind")
    return flat
