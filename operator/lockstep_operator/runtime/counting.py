"""Request counters of encoder pods, from their Prometheus text to what happened since. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from prometheus_client.parser import text_string_to_metric_families

from lockstep_core.protocol.metrics import (
    ENCODER_INFO,
    ENCODER_REQUEST_SECONDS,
    ENCODER_REQUESTS,
)
from lockstep_operator.decide.snapshot.measurements import Tally

K = TypeVar("K", str, float)
# What users ask; `/v1/models` answers from memory and says nothing of the release.
APIS = frozenset({"embeddings", "search"})


@dataclass(frozen=True)
class Counters:
    """One pod since its process began: requests by status code, and by the seconds they took."""

    release: str | None = None
    codes: Mapping[str, int] = field(default_factory=dict)
    within: Mapping[float, int] = field(default_factory=dict)
    timed: int = 0


def parse(text: str) -> Counters:
    """The counters in a pod's `/metrics`. Raises ValueError for text that is not of that format."""
    release, codes, within, timed = None, Counter[str](), Counter[float](), 0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels, value = sample.labels, sample.value
            if sample.name == ENCODER_INFO:
                release = labels.get("release")
            elif labels.get("api") not in APIS:
                continue
            elif sample.name == ENCODER_REQUESTS:
                codes[labels["code"]] += int(value)
            elif sample.name == f"{ENCODER_REQUEST_SECONDS}_count":
                timed += int(value)
            elif sample.name == f"{ENCODER_REQUEST_SECONDS}_bucket" and labels["le"] != "+Inf":
                within[float(labels["le"])] += int(value)
    return Counters(release, dict(codes), dict(within), timed)


class Counting:
    """What pods answered since the first scrape, over restarts and pods that come and go.

    A pod of the first scrape counts from there; one that comes later from zero, as it took no
    request before; one whose counters went back was started again, and counts from zero too.
    What a pod answered between its last scrape and its end is not seen.
    """

    def __init__(self) -> None:
        self._last: dict[str, Counters] | None = None
        self._codes: Counter[str] = Counter()
        self._within: dict[float, int] | None = None
        self._timed = 0

    def add(self, pods: Mapping[str, Counters]) -> Tally:
        """The tally with this scrape, by pod uid."""
        before = self._last
        for uid, now in pods.items():
            known = now if before is None else before.get(uid, Counters())
            self._add(now, Counters() if _went_back(known, now) else known)
        # Pods that are gone are forgotten; what they answered is counted.
        self._last = dict(pods)
        return Tally(dict(self._codes), dict(self._within or {}), self._timed)

    def _add(self, now: Counters, since: Counters) -> None:
        self._codes.update(_differences(now.codes, since.codes))
        self._timed += now.timed - since.timed
        if not now.within:
            return
        within = _differences(now.within, since.within)
        if self._within is None:
            self._within = within
            return
        # Two builds of the encoder may count at other edges: the common ones hold for both.
        self._within = {e: n + within[e] for e, n in self._within.items() if e in within}


def _differences(now: Mapping[K, int], since: Mapping[K, int]) -> dict[K, int]:
    return {key: value - since.get(key, 0) for key, value in now.items()}


def _went_back(since: Counters, now: Counters) -> bool:
    return any(now.codes.get(code, 0) < count for code, count in since.codes.items()) or (
        now.timed < since.timed
    )
