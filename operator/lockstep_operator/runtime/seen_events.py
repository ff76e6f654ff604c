"""What the cluster says about what does not start: Events, read by the name of what they are about.

Nothing watches Events: most of a cluster's are of no concern, and there are more of them than of
anything else. They are read only for what `decide.jobs.unstarted` names, a few objects a pass, each
at most twice a minute. An Event explains and decides nothing that a status says otherwise, so a
read that fails, or takes long, leaves a pass with what it had.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from lockstep_operator.api.kinds import EVENT
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.waits import UNSTARTED_SECONDS
from lockstep_operator.decide.jobs.unstarted import Subject, unstarted
from lockstep_operator.decide.snapshot.observed import NO_EVENTS, Observed, SeenEvent, SeenEvents
from lockstep_operator.runtime.client import Api
from lockstep_operator.runtime.errors import ApiError

# Less than the time after which a pass looks again, so that each of these looks reads anew.
FRESH_SECONDS = 0.8 * UNSTARTED_SECONDS
FORGOTTEN_SECONDS = 600.0
# All reads of one pass together.
TIMEOUT_SECONDS = 3.0
SUBJECTS_A_PASS = 4
EVENTS_OF_ONE = 100

logger = logging.getLogger(__name__)

_Known = tuple[float, tuple[SeenEvent, ...]]


class EventReader:
    """Remembers what it read for as long as it is fresh."""

    def __init__(
        self,
        api: Api,
        *,
        timeout: float = TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._timeout = timeout
        self._clock = clock
        self._known: dict[tuple[str, Subject], _Known] = {}

    async def of(self, observed: Observed, now: datetime) -> SeenEvents:
        """The Events about what has not started, by kind and name. Raises nothing."""
        subjects, namespace = unstarted(observed, now), observed.namespace
        if not subjects:
            return NO_EVENTS
        stale = [subject for subject in subjects if not self._is_fresh((namespace, subject))]
        # Those that were not read for longest come first: of many, each has its turn.
        stale.sort(key=lambda subject: self._known.get((namespace, subject), (0.0, ()))[0])
        await self._read_all(namespace, stale[:SUBJECTS_A_PASS])
        found = {}
        for subject in subjects:
            _, events = self._known.get((namespace, subject), (0.0, ()))
            if events:
                found[subject.kind, subject.name] = events
        return found

    def _is_fresh(self, at: tuple[str, Subject]) -> bool:
        known = self._known.get(at)
        return known is not None and self._clock() - known[0] < FRESH_SECONDS

    async def _read_all(self, namespace: str, subjects: list[Subject]) -> None:
        if not subjects:
            return
        reads = (self._read(namespace, subject) for subject in subjects)
        try:
            await asyncio.wait_for(asyncio.gather(*reads), self._timeout)
        except TimeoutError:
            facts = {"namespace": namespace, "after_seconds": self._timeout}
            logger.warning("events not read in time", extra=facts)
        now = self._clock()
        for subject in subjects:
            # Also of one that failed: it is not asked again before the others are.
            _, events = self._known.get((namespace, subject), (0.0, ()))
            self._known[namespace, subject] = now, events
        old = now - FORGOTTEN_SECONDS
        self._known = {at: known for at, known in self._known.items() if known[0] >= old}

    async def _read(self, namespace: str, subject: Subject) -> None:
        fields = {"involvedObject.kind": subject.kind, "involvedObject.name": subject.name}
        if subject.uid:
            fields["involvedObject.uid"] = subject.uid
        try:
            items = await self._api.some(EVENT, namespace, fields=fields, limit=EVENTS_OF_ONE)
        except ApiError as error:
            facts = {"kind": subject.kind, "object": subject.name, "error": str(error)}
            logger.warning("events not read", extra=facts)
            return
        events = tuple(seen(raw) for raw in items)
        self._known[namespace, subject] = self._clock(), events


def seen(raw: Object) -> SeenEvent:
    """An Event as decisions read it: of a series, or of a count, the last time."""
    metadata, series = raw.get("metadata") or {}, raw.get("series") or {}
    moments = (
        series.get("lastObservedTime"),
        raw.get("lastTimestamp"),
        raw.get("eventTime"),
        metadata.get("creationTimestamp"),
    )
    at = next((str(moment) for moment in moments if moment), "")
    return SeenEvent(
        reason=str(raw.get("reason") or ""),
        message=str(raw.get("message") or ""),
        # Some have fractions of a second and some have none: without them they compare as text.
        at=f"{at[:19]}Z" if at else "",
        warning=raw.get("type") == "Warning",
    )
