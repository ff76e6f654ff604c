"""Are two items of one class? Error rates of a threshold on the cosine of a pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import Strings
from lockstep_trainer.evaluation.embedding import Floats
from lockstep_trainer.evaluation.quality import Groups

MAX_PAIRS = 200_000
"""Of each kind; the error of an EER near 0.05 is then below 0.0005."""
FALSE_MATCH_RATES = (0.01, 0.001)
PAIRS_PER_BLOCK = 65_536

Scores = NDArray[np.float64]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Verification:
    """As ISO/IEC 19795-1 defines them. A pair matches when its score reaches the threshold.

    `eer`: where the false match rate (FMR, of pairs of two classes) and the false non-match rate
    (FNMR, of pairs of one) meet: the mean of both at the observed score where they differ least,
    `threshold`. `fnmr_at_fmr`: the least FNMR of a threshold whose FMR is at most the given one.
    """

    eer: float
    threshold: float
    fnmr_at_fmr: tuple[tuple[float, float], ...]
    genuine_pairs: int
    impostor_pairs: int

    def to_wire(self) -> dict[str, Any]:
        return {
            "eer": round(self.eer, 6),
            "threshold": round(self.threshold, 6),
            "fnmrAtFMR": [{"fmr": fmr, "fnmr": round(fnmr, 6)} for fmr, fnmr in self.fnmr_at_fmr],
            "genuinePairs": self.genuine_pairs,
            "impostorPairs": self.impostor_pairs,
        }


def verify(embeddings: Floats, labels: Strings, *, seed: int = 0) -> Verification | None:
    """Of L2-normalised `embeddings` [N, D]; None when there is but one class, or no pair of one.

    All pairs of a kind up to `MAX_PAIRS` of them, else so many seeded draws.
    """
    groups = Groups.of(labels)
    if len(groups.names) < 2 or not groups.relevant.any():
        return None
    generator = np.random.default_rng((seed, 3))
    genuine = _scores(embeddings, _genuine(groups, generator))
    impostor = _scores(embeddings, _impostor(groups, generator))
    return error_rates(genuine, impostor)


def error_rates(genuine: Scores, impostor: Scores) -> Verification:
    """From the scores of pairs of one class and of two; neither may be empty."""
    genuine, impostor = np.sort(genuine), np.sort(impostor)
    # Beyond the largest score nothing matches.
    thresholds = np.append(np.unique(np.concatenate([genuine, impostor])), np.inf)
    fnmr = np.searchsorted(genuine, thresholds, side="left") / len(genuine)
    fmr = 1.0 - np.searchsorted(impostor, thresholds, side="left") / len(impostor)
    meet = int(np.abs(fmr - fnmr).argmin())
    # FMR falls and FNMR rises with the threshold: the first that qualifies is the best.
    at_rates = tuple((rate, float(fnmr[int((fmr <= rate).argmax())])) for rate in FALSE_MATCH_RATES)
    # Never infinity: at the least score, which comes first, both rates are as far apart.
    threshold = float(thresholds[meet])
    eer = float(fmr[meet] + fnmr[meet]) / 2
    return Verification(eer, threshold, at_rates, len(genuine), len(impostor))


def _genuine(groups: Groups, generator: np.random.Generator) -> Pairs:
    """Uniform over pairs: an item is drawn as often as it has partners."""
    order = np.argsort(groups.codes, kind="stable")
    sizes = np.bincount(groups.codes)
    starts = np.cumsum(sizes) - sizes
    if int(groups.relevant.sum()) // 2 <= MAX_PAIRS:
        parts = [np.triu_indices(size, 1) for size in sizes]
        left = np.concatenate([at + part[0] for at, part in zip(starts, parts, strict=True)])
        right = np.concatenate([at + part[1] for at, part in zip(starts, parts, strict=True)])
        return order[left], order[right]
    place = np.searchsorted(
        groups.relevant[order].cumsum(),
        generator.integers(int(groups.relevant.sum()), size=MAX_PAIRS),
        side="right",
    )
    codes = groups.codes[order[place]]
    # A step of 1 to size - 1 around the class never ends where it began.
    around = place - starts[codes] + 1 + generator.integers(sizes[codes] - 1)
    return order[place], order[starts[codes] + around % sizes[codes]]


def _impostor(groups: Groups, generator: np.random.Generator) -> Pairs:
    count = len(groups.codes)
    if count * (count - 1) // 2 <= MAX_PAIRS:
        left, right = np.triu_indices(count, 1)
    else:
        left, right = generator.integers(count, size=(2, MAX_PAIRS))
    differ = groups.codes[left] != groups.codes[right]
    if not differ.any():
        # Nearly all is one class, so that draws miss the others.
        codes, sizes = np.unique(groups.codes, return_counts=True)
        rare = groups.codes != codes[sizes.argmax()]
        left = np.flatnonzero(rare)[:MAX_PAIRS]
        return left, np.full(len(left), np.flatnonzero(~rare)[0])
    return left[differ], right[differ]


def _scores(embeddings: Floats, pairs: Pairs) -> Scores:
    left, right = pairs
    return np.concatenate(
        [
            np.einsum(
                "pd,pd->p",
                embeddings[left[start : start + PAIRS_PER_BLOCK]],
                embeddings[right[start : start + PAIRS_PER_BLOCK]],
                dtype=np.float64,
            )
            for start in range(0, len(left), PAIRS_PER_BLOCK)
        ]
    )
