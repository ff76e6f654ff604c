"""Workers: take a key, gather what is known, decide, carry it out, look again when it is due."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from lockstep_operator.api.kinds import AGGREGATE, EMBEDDING_MODEL, OPTIONAL
from lockstep_operator.decide.context.plan import Plan
from lockstep_operator.decide.snapshot.observed import Observed, Refusal, Settings
from lockstep_operator.runtime import metrics
from lockstep_operator.runtime.applier import Applier, Outcome
from lockstep_operator.runtime.cache import Cache
from lockstep_operator.runtime.drift_limit import DriftLimit
from lockstep_operator.runtime.drift_watching import DriftWatcher
from lockstep_operator.runtime.errors import ApiError, Conflict, NotLeading, Unavailable
from lockstep_operator.runtime.gateways import Gateways
from lockstep_operator.runtime.measuring import Measurer
from lockstep_operator.runtime.queue import Key, ShutDown, WorkQueue
from lockstep_operator.runtime.seen_events import EventReader

WORKERS = 16
# Passes in a row that wrote something. A plan settles in a handful; more is two programs fighting
# over a field, or a decision that does not converge: slow down and say so.
PASSES_BEFORE_BACKOFF = 20
# A refusal passes when someone raises a quota or removes what is in the way: no hurry.
REFUSED_AGAIN_SECONDS = 1.0

Decide = Callable[[Observed, Settings, datetime], Plan]

logger = logging.getLogger(__name__)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Reconciler:
    """Decides for one key at a time; several of its workers run side by side."""

    def __init__(
        self,
        *,
        queue: WorkQueue,
        cache: Cache,
        applier: Applier,
        measurer: Measurer,
        watcher: DriftWatcher | None = None,
        decide: Decide,
        settings: Settings,
        gateways: Gateways | None = None,
        events: EventReader | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._queue = queue
        self._cache = cache
        self._applier = applier
        self._measurer = measurer
        self._watcher = watcher
        self._drift_limit = DriftLimit(cache, now)
        self._decide = decide
        self._settings = settings
        self._gateways = gateways
        self._events = events
        self._now = now
        self._refusals: dict[Key, tuple[Refusal, ...]] = {}
        self._crashes: dict[Key, str] = {}
        self._writing_passes: dict[Key, int] = {}

    def gather(self, key: Key) -> Observed:
        """The model's aggregate as the cache has it. Costs the model's own objects only."""
        return Observed(
            namespace=key.namespace,
            name=key.name,
            model=self._cache.get(EMBEDDING_MODEL, key.namespace, key.name),
            objects={kind.kind: self._cache.of_model(key, kind) for kind in AGGREGATE},
            served=frozenset(
                kind.kind for kind in OPTIONAL if self._cache.serves(kind, key.namespace)
            ),
            refusals=self._refusals.get(key, ()),
            measurements=self._measurer.series(key),
            drift=self._watcher.reports(key) if self._watcher is not None else {},
        )

    async def work(self) -> None:
        """One worker, until the queue shuts down. No exception of a key ends it."""
        while True:
            try:
                key = await self._queue.get()
            except ShutDown:
                return
            started = time.monotonic()
            try:
                result = await self._reconcile(key)
            finally:
                self._queue.done(key)
                metrics.RECONCILE_SECONDS.observe(time.monotonic() - started)
            metrics.RECONCILES.labels(result=result).inc()

    async def _reconcile(self, key: Key) -> str:
        try:
            observed = await self._with_gateways(self.gather(key))
            observed = await self._with_events(observed)
            # No other key is decided between the count and what it allows.
            observed = replace(observed, drift_releases=self._drift_limit.made_for_others(key))
            plan = self._decide(observed, self._settings, self._now())
            with self._drift_limit.reserved(key, plan):
                outcome = await self._applier.carry_out(key, plan, observed.refusals)
        except ApiError as error:
            return self._retry(key, error)
        except Exception as error:
            return self._crashed(key, error)
        self._crashes.pop(key, None)
        return self._settle(key, observed, plan, outcome)

    async def _with_gateways(self, observed: Observed) -> Observed:
        if self._gateways is None or not observed.gateway_api:
            return observed
        return replace(observed, gateways=await self._gateways.of(observed.model))

    async def _with_events(self, observed: Observed) -> Observed:
        if self._events is None:
            return observed
        return replace(observed, events=await self._events.of(observed, self._now()))

    def _retry(self, key: Key, error: ApiError) -> str:
        wait = error.retry_after if isinstance(error, Unavailable) else 0.0
        delay = self._queue.add_rate_limited(key, at_least=wait)
        is_routine = isinstance(error, Conflict | NotLeading)
        level = logging.DEBUG if is_routine else logging.WARNING
        facts = {"model": str(key), "error": str(error), "retry_in_seconds": round(delay, 3)}
        logger.log(level, "reconcile retried", extra=facts)
        return "retried"

    def _crashed(self, key: Key, error: Exception) -> str:
        """Logs a defect of ours once per key and kind; the other models go on."""
        delay = self._queue.add_rate_limited(key)
        signature = f"{type(error).__name__}: {error}"
        if self._crashes.get(key) != signature:
            self._crashes[key] = signature
            facts = {"model": str(key), "retry_in_seconds": round(delay, 3)}
            logger.error("reconcile crashed", exc_info=error, extra=facts)
        return "crashed"

    def _settle(self, key: Key, observed: Observed, plan: Plan, outcome: Outcome) -> str:
        self._measurer.follow(key, plan.measure)
        if self._watcher is not None:
            self._watcher.follow(key, plan.watch)
        if plan.look_again_after is not None:
            # Also beside a refusal: its backoff grows, and a deadline must not wait for it.
            self._queue.add_after(key, plan.look_again_after)
        refusals = tuple(outcome.refusals)
        if refusals:
            is_news = refusals != self._refusals.get(key)
            self._refusals[key] = refusals
            self._queue.add_rate_limited(key, at_least=REFUSED_AGAIN_SECONDS)
            if is_news:
                # The status should say it now, not after the backoff.
                self._again(key)
            return "refused"
        had_refusals = self._refusals.pop(key, None) is not None
        if outcome.writes or had_refusals:
            # Level-triggered: decide again over what was just written, until nothing is left.
            # Its own watch events are no news to the cache, so nothing else would bring it back.
            self._again(key)
        else:
            self._writing_passes.pop(key, None)
            self._queue.forget(key)
        return "changed" if outcome.writes else "unchanged"

    def _again(self, key: Key) -> None:
        passes = self._writing_passes.get(key, 0) + 1
        self._writing_passes[key] = passes
        if passes <= PASSES_BEFORE_BACKOFF:
            self._queue.add(key)
            return
        delay = self._queue.add_rate_limited(key)
        facts = {"model": str(key), "passes": passes, "retry_in_seconds": round(delay, 3)}
        logger.warning("the model does not settle: every pass writes", extra=facts)


def start_workers(reconciler: Reconciler, *, count: int = WORKERS) -> list[asyncio.Task[None]]:
    """Spawns the workers on the running loop."""
    return [
        asyncio.create_task(reconciler.work(), name=f"worker-{number}") for number in range(count)
    ]
