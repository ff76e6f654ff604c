"""Who trains and who is held out: the same on every machine and in every release."""

from __future__ import annotations

import hashlib
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets.contents import contents
from lockstep_core.datasets.dataset import Dataset, Inputs, Strings
from lockstep_core.datasets.problems import DatasetError, problem
from lockstep_core.protocol.datasets import SplitBy, SplitSpec

Rows = NDArray[np.int64]


def split(dataset: Dataset, spec: SplitSpec) -> tuple[Rows, Rows]:
    """Sorted row numbers (training, held out), neither empty.

    Raises DatasetError when there are fewer than two classes, groups or contents to share out.
    """
    return split_parts(spec, dataset.labels, dataset.groups, dataset.inputs)


def split_parts(
    spec: SplitSpec, labels: Strings | None, groups: Strings | None, inputs: Inputs | None
) -> tuple[Rows, Rows]:
    """As `split`, of the one part that `spec.by` looks at; ValueError when it is None."""
    if spec.by is SplitBy.CLASS and labels is not None:
        return split_by_class(labels, spec)
    if spec.by is SplitBy.GROUP and groups is not None:
        return split_by_group(groups, spec)
    if spec.by is SplitBy.HASH and inputs is not None:
        return split_by_hash(inputs, spec)
    raise ValueError(f"a split by {spec.by} needs what the set does not have")


def split_by_class(labels: Strings, spec: SplitSpec) -> tuple[Rows, Rows]:
    """Sorted row numbers (training, held out); no class is on both sides.

    Classes are ranked by the sha256 of `<seed>:<label>`, and the first round(evalFraction x n) of
    them (at least 1, at most n-1) are held out. So the split depends on the labels alone, and a
    class that comes later leaves the other classes where they are, but for the cut.
    Raises DatasetError with fewer than two classes.
    """
    return _split_ranked(labels, spec, "class", "classes")


def split_by_group(groups: Strings, spec: SplitSpec) -> tuple[Rows, Rows]:
    """As `split_by_class`, with groups for classes: no group is on both sides, a class may be."""
    return _split_ranked(groups, spec, "group", "groups")


def _split_ranked(values: Strings, spec: SplitSpec, one: str, several: str) -> tuple[Rows, Rows]:
    distinct = np.unique(values)
    if len(distinct) < 2:
        fix = f"a split by {one} needs at least two {several}: one to train on, one to hold out"
        what = f"the set has {len(distinct)} {several}"
        raise DatasetError([problem(what, distinct, fix)])
    ranked = sorted(distinct, key=lambda value: _rank(spec.seed, str(value)))
    wanted = round(Decimal(spec.eval_fraction) * len(distinct))
    held_out = ranked[: min(max(wanted, 1), len(distinct) - 1)]
    mask = np.isin(values, np.array(held_out))
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _rank(seed: int, value: str) -> bytes:
    return hashlib.sha256(f"{seed}:{value}".encode()).digest()


def split_by_hash(inputs: Inputs, spec: SplitSpec) -> tuple[Rows, Rows]:
    """Sorted row numbers (training, held out); each item is judged by its own content alone.

    It is held out when the first 8 bytes of sha256(`<seed>:` + content), as a fraction of 2^64, are
    below evalFraction. So rows that are added, moved or removed change no other row's side, and
    equal items are on one side. Raises DatasetError when a side is empty.
    """
    bound = int(Decimal(spec.eval_fraction) * 2**64)
    prefix = f"{spec.seed}:".encode()
    mask = np.fromiter(
        (
            int.from_bytes(hashlib.sha256(prefix + each).digest()[:8], "big") < bound
            for each in contents(inputs)
        ),
        np.bool_,
        len(inputs),
    )
    if mask.all() or not mask.any():
        side = "held out" if not mask.any() else "left to train on"
        fix = "add items, or change split.evalFraction or split.seed"
        what = f"by Hash no item of {len(inputs)} is {side}"
        raise DatasetError([problem(what, (), fix, count=1)])
    return np.flatnonzero(~mask), np.flatnonzero(mask)
