"""What encoder pods counted of their requests, as tests write it down and read it."""

from __future__ import annotations

from collections.abc import Mapping

from lockstep_core.protocol.metrics import ENCODER_REQUEST_SECONDS, ENCODER_REQUESTS
from lockstep_operator.decide.snapshot.measurements import Count, Labels, Tally


def tally_of(
    codes: Mapping[str, int], within: Mapping[float, int] | None = None, timed: int | None = None
) -> Tally:
    """Searches by status code; the seconds they took by edge, and how many were timed."""
    counts: dict[str, Count] = {}
    if codes:
        events: dict[Labels, int] = {("search", code): count for code, count in codes.items()}
        counts[ENCODER_REQUESTS.name] = Count(events)
    if timed is not None:
        counts[ENCODER_REQUEST_SECONDS.name] = Count({("search",): timed}, within or {})
    return Tally(counts)


def codes_in(tally: Tally) -> dict[str, int]:
    """Requests by status code."""
    return tally.by(ENCODER_REQUESTS, "code")


def within_in(tally: Tally) -> Mapping[float, int]:
    """Timed requests by the edge that they stayed within."""
    return tally.within(ENCODER_REQUEST_SECONDS)


def timed_in(tally: Tally) -> int:
    """Timed requests."""
    return tally.total(ENCODER_REQUEST_SECONDS)
