"""What stops no training, but may disappoint: classes and contents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets import Dataset, Problem, Strings, contents
from lockstep_core.datasets.problems import Tally, problem
from lockstep_core.protocol.training import BatchSpec

Rows = NDArray[np.int64]

FEW_CLASSES = 20
"""Trained on fewer classes, an encoder learns to collapse these few; unseen ones get worse than
they were in raw pixels (measured on handwritten digits: recall@1 fell from 0.99 to 0.86)."""

IMBALANCE = 20
"""A class this many times the median: batches take classes evenly, so most of it is seldom seen."""


def class_cautions(training: Strings, held_out: Strings, batch: BatchSpec) -> list[Problem]:
    """From labels alone."""
    classes, counts = np.unique(training, return_counts=True)
    cautions = []
    if len(classes) < FEW_CLASSES:
        what = (
            f"only {len(classes)} classes to train on: fewer than {FEW_CLASSES} rarely generalise"
            " to unseen ones"
        )
        fix = "add classes, and compare recall with the raw baseline"
        cautions.append(problem(what, (), fix, count=len(classes)))
    if (alone := classes[counts == 1]).size:
        what = "training classes with a single item, which has no positive and is in no batch"
        cautions.append(problem(what, alone, "add items to them, or remove them"))
    usual = int(np.median(counts)) if counts.size else 0
    if batch.per_class > usual > 0:
        what = (
            f"batch.perClass is {batch.per_class}, but a class has {usual} items in the median:"
            " smaller ones repeat items within a batch"
        )
        small = int((counts < batch.per_class).sum())
        cautions.append(problem(what, (), f"set batch.perClass to {max(2, usual)}", count=small))
    if (large := classes[counts > IMBALANCE * max(1, usual)]).size:
        sizes = dict(zip(classes, counts, strict=True))
        what = f"training classes more than {IMBALANCE} times the median of {usual} items"
        examples = [f"{name}: {sizes[name]} items" for name in large]
        fix = "split them into finer classes, or take a part of each: most of it is seldom seen"
        cautions.append(problem(what, examples, fix))
    classes, counts = np.unique(held_out, return_counts=True)
    if (alone := classes[counts == 1]).size and (counts > 1).any():
        what = "held-out classes with a single item, of which recall measures nothing"
        fix = "add items to them, or raise split.evalFraction where items are split"
        cautions.append(problem(what, alone, fix))
    return cautions


def content_cautions(dataset: Dataset, split: tuple[Rows, Rows]) -> list[Problem]:
    """Equal items: under two labels each pulls the encoder both ways; on both sides of the split
    recall is measured on what was learnt by heart."""
    held_out = np.zeros(len(dataset), np.bool_)
    held_out[split[1]] = True
    labels = dataset.labels
    # Digests and not the bytes, which would be a second copy of the set.
    first: dict[bytes, int] = {}
    tally = Tally()
    for row, digest in enumerate(contents(dataset.inputs)):
        seen = first.setdefault(digest, row)
        if labels[seen] != labels[row]:
            what = "items are equal to one of another class"
            example = f"{labels[seen]} = {labels[row]} (rows {seen} and {row})"
            tally.add(what, example, "relabel or remove them")
        if held_out[seen] != held_out[row]:
            what = "items are equal to one on the other side of the split"
            fix = "remove the copies, or use split.by Hash: it keeps equal items together"
            tally.add(what, f"rows {seen} and {row}", fix)
    return tally.problems()
