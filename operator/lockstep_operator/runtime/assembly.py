"""The parts of the leading operator, wired together on kopf's event loop."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import time
from typing import Any

from lockstep_operator.api.kinds import ResourceKind
from lockstep_operator.api.objects import Object
from lockstep_operator.decide import decide
from lockstep_operator.runtime import metrics
from lockstep_operator.runtime.applier import Applier
from lockstep_operator.runtime.cache import Cache
from lockstep_operator.runtime.client import Api, connect
from lockstep_operator.runtime.config import Config
from lockstep_operator.runtime.drift_watching import DriftWatcher
from lockstep_operator.runtime.events import Recorder
from lockstep_operator.runtime.gateways import Gateways
from lockstep_operator.runtime.heartbeat import Heartbeat
from lockstep_operator.runtime.leader import Leader, LeaseTimes
from lockstep_operator.runtime.measuring import Measurer
from lockstep_operator.runtime.monitors import Monitors
from lockstep_operator.runtime.optional import OptionalKinds
from lockstep_operator.runtime.probing import Prober
from lockstep_operator.runtime.queue import WorkQueue
from lockstep_operator.runtime.reconcile import Reconciler, start_workers, utc_now
from lockstep_operator.runtime.seen_events import EventReader
from lockstep_operator.runtime.sync import Synchroniser

# A plan's writes take milliseconds each; what is not done by then is redone by the next leader.
DRAIN_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Operator:
    """kopf hands this to every handler as its memo."""

    def __init__(self, config: Config, leader: Leader, heartbeat: Heartbeat) -> None:
        self._config = config
        self._leader = leader
        self._heartbeat = heartbeat
        self._cache = Cache()
        self._queue = WorkQueue()
        self._tasks: list[asyncio.Task[None]] = []
        self._api: Api | None = None
        self._measurer: Measurer | None = None
        self._watcher: DriftWatcher | None = None
        self.synced = False

    def __copy__(self) -> Operator:
        """kopf copies the memo for each object it sees; there is one operator for all of them."""
        return self

    async def start(self) -> None:
        """Lists everything, then starts the workers. Watches begin after this returns."""
        self._spawn(self._heartbeat.run(), "heartbeat")
        timeout = LeaseTimes(self._config.lease_seconds).write_timeout
        self._api = Api(await connect(), timeout=timeout, guard=self._leader.check)
        synchroniser = Synchroniser(
            self._api,
            self._cache,
            self._queue,
            namespaces=self._config.namespaces,
            period=self._config.resync_seconds,
            rng=random.Random(),
        )
        optional = OptionalKinds(
            self._api,
            self._cache,
            self._queue,
            namespaces=self._config.namespaces,
            rng=random.Random(),
        )
        await synchroniser.load()
        # After their owners, as all children.
        await optional.load()
        self._measurer = Measurer(Prober(), Monitors(), wake=self._queue.add, now=utc_now)
        self._watcher = DriftWatcher(self._api, Monitors(), wake=self._queue.add, unix=time.time)
        reconciler = self._reconciler(self._api, self._measurer, self._watcher)
        self._tasks += start_workers(reconciler, count=self._config.workers)
        self._spawn(synchroniser.run(), "resync")
        self._spawn(optional.run(), "optional kinds")
        self.synced = True
        logger.info("synced", extra={"models": len(self._cache.models())})
        if self._leader.is_stopping:
            # SIGTERM came before kopf's own handlers were in place: tell kopf now.
            signal.raise_signal(signal.SIGTERM)

    def _reconciler(self, api: Api, measurer: Measurer, watcher: DriftWatcher) -> Reconciler:
        recorder = Recorder(api, instance=self._config.pod_name)
        return Reconciler(
            queue=self._queue,
            cache=self._cache,
            applier=Applier(api, self._cache, recorder),
            measurer=measurer,
            watcher=watcher,
            decide=decide,
            settings=self._config.settings,
            gateways=Gateways(api),
            events=EventReader(api),
        )

    def observe(self, kind: ResourceKind, event: Any) -> None:
        """Takes in one watch event and asks for a reconcile of whom it changed."""
        metrics.WATCH_AGES.touch(kind.kind)
        body: Object = event["object"]
        for key in self._cache.observe(kind, event["type"], body):
            self._queue.add(key)

    async def stop(self) -> None:
        """Takes no more keys, lets running plans end (bounded), and closes the connection."""
        self.synced = False
        self._queue.shut_down()
        try:
            await asyncio.wait_for(self._queue.drained(), DRAIN_SECONDS)
        except TimeoutError:
            logger.warning("plans cut short", extra={"after_seconds": DRAIN_SECONDS})
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._measurer is not None:
            await self._measurer.close()
        if self._watcher is not None:
            await self._watcher.close()
        self._heartbeat.stop()
        if self._api is not None:
            await self._api.close()

    def _spawn(self, work: Any, name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))
