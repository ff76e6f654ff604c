"""Where an encoder errs: the worst classes, and the items that it takes for another class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lockstep_core.datasets.dataset import Strings
from lockstep_trainer.evaluation.quality import Groups
from lockstep_trainer.evaluation.ranking import Ranking

SHOWN_CLASSES = 20
SHOWN_CONFUSIONS = 24


@dataclass(frozen=True)
class WorstClass:
    """`taken_for`: the other class that its items find first most often, None when they find
    none."""

    label: str
    queries: int
    recall_at_1: float
    average_precision: float
    taken_for: str | None

    def to_wire(self) -> dict[str, Any]:
        numbers = {
            "label": self.label,
            "queries": self.queries,
            "recallAt1": round(self.recall_at_1, 6),
            "averagePrecision": round(self.average_precision, 6),
        }
        return numbers if self.taken_for is None else numbers | {"takenFor": self.taken_for}


@dataclass(frozen=True)
class Confusion:
    """An item whose nearest item is of another class. Rows are of what was ranked. `distance` to
    it, and `own_distance` to the nearest item of the same class, `own`."""

    row: int
    nearest: int
    own: int
    distance: float
    own_distance: float


def worst_classes(ranking: Ranking, labels: Strings) -> tuple[WorstClass, ...]:
    """Up to `SHOWN_CLASSES` whose items find another class first, the worst first."""
    groups = Groups.of(labels)
    asked, answered = groups.codes[ranking.queries], groups.codes[ranking.nearest]
    count = len(groups.names)
    queries = np.bincount(asked, minlength=count)
    hits = np.bincount(asked, asked == answered, minlength=count)
    precision = np.bincount(asked, ranking.average_precision, minlength=count)
    at = np.flatnonzero(hits < queries)
    recall, average = hits[at] / queries[at], precision[at] / queries[at]
    order = np.lexsort((at, average, recall))[:SHOWN_CLASSES]
    return tuple(
        WorstClass(
            label=str(groups.names[at[place]]),
            queries=int(queries[at[place]]),
            recall_at_1=float(recall[place]),
            average_precision=float(average[place]),
            taken_for=_most_often(groups, answered[asked == at[place]], at[place]),
        )
        for place in order
    )


def _most_often(groups: Groups, answered: np.ndarray[Any, Any], own: np.int64) -> str | None:
    others = answered[answered != own]
    return str(groups.names[np.bincount(others).argmax()]) if len(others) else None


def worst_confusions(ranking: Ranking, labels: Strings) -> tuple[Confusion, ...]:
    """Up to `SHOWN_CONFUSIONS`, the clearest first: those whose own class is farthest beyond what
    they found. One for each pair of classes, or the same two would fill the list."""
    wrong = np.flatnonzero(labels[ranking.nearest] != labels[ranking.queries])
    by = ranking.distance_own[wrong] - ranking.distance[wrong]
    seen: set[tuple[str, str]] = set()
    confusions = []
    for place in wrong[np.lexsort((ranking.queries[wrong], -by))]:
        row, nearest = int(ranking.queries[place]), int(ranking.nearest[place])
        pair = (str(labels[row]), str(labels[nearest]))
        if pair in seen or pair[::-1] in seen:
            continue
        seen.add(pair)
        own = int(ranking.nearest_own[place])
        distances = float(ranking.distance[place]), float(ranking.distance_own[place])
        confusions.append(Confusion(row, nearest, own, *distances))
        if len(confusions) == SHOWN_CONFUSIONS:
            break
    return tuple(confusions)
