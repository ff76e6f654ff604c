"""How many releases drift made within the last hour, of all models: what keeps it from a storm.

Counted in the cache, so that it holds across restarts, and by what is being written right now: of
several workers none sees the others' releases before they are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from lockstep_operator.api.kinds import DRIFT_POLICY, EMBEDDING_RELEASE
from lockstep_operator.api.release import Cause
from lockstep_operator.decide.context.plan import Plan
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.runtime.cache import Cache
from lockstep_operator.runtime.queue import Key

HOUR = timedelta(hours=1)


class DriftLimit:
    """`now` is the clock of the decisions."""

    def __init__(self, cache: Cache, now: Callable[[], datetime]) -> None:
        self._cache = cache
        self._now = now
        self._being_made: set[Key] = set()

    def made_for_others(self, key: Key) -> int:
        """Releases of the last hour, and those that other keys are making. 0 for a model that no
        policy watches, which has no use for it."""
        if not self._cache.of_model(key, DRIFT_POLICY):
            return 0
        since = clock.text(self._now() - HOUR)
        made = sum(
            1
            for release in self._cache.all_of(EMBEDDING_RELEASE)
            if release["spec"].get("cause") == Cause.DRIFT
            and str(release["metadata"].get("creationTimestamp", "")) >= since
        )
        return made + len(self._being_made - {key})

    @contextmanager
    def reserved(self, key: Key, plan: Plan) -> Iterator[None]:
        """Counts what a plan makes for drift while it is carried out."""
        makes = any(raw["spec"].get("cause") == Cause.DRIFT for raw in plan.releases)
        if makes:
            self._being_made.add(key)
        try:
            yield
        finally:
            self._being_made.discard(key)
