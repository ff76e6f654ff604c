"""Lists: all kinds before the first decision, and all of them again now and then.

A lost watch event then costs latency, not correctness. The same list finds what a watch cannot
tell: objects deleted while a watch was down, and objects that lost the label we select by.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from lockstep_operator.api.kinds import WATCHED, ResourceKind
from lockstep_operator.runtime import metrics
from lockstep_operator.runtime.cache import Cache
from lockstep_operator.runtime.client import Api
from lockstep_operator.runtime.errors import ApiError, NotFound
from lockstep_operator.runtime.queue import Key, Lane, WorkQueue

RESYNC_SECONDS = 600.0
RETRY_SECONDS = 2.0

logger = logging.getLogger(__name__)


class Synchroniser:
    """Fills the cache from lists. `namespaces` empty means all of them."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        queue: WorkQueue,
        *,
        namespaces: Sequence[str],
        period: float = RESYNC_SECONDS,
        rng: random.Random,
    ) -> None:
        self._api = api
        self._cache = cache
        self._queue = queue
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._period = period
        self._rng = rng

    async def load(self) -> None:
        """Returns when every kind is in the cache; tries until then, and says what is missing."""
        for kind in WATCHED:
            while True:
                try:
                    await self._list(kind)
                    break
                except ApiError as error:
                    hint = "install the CRDs" if isinstance(error, NotFound) else "see the error"
                    facts = {"kind": kind.kind, "error": str(error), "hint": hint}
                    logger.error("waiting for a first list", extra=facts)
                    await asyncio.sleep(RETRY_SECONDS)
        for key in self._cache.models():
            self._queue.add(key, lane=Lane.RESYNC)

    async def run(self) -> None:
        """Resyncs until cancelled: each key once per period, spread over it."""
        while True:
            await asyncio.sleep(self._period * self._rng.uniform(0.05, 0.15))
            await self._relist()
            keys = list(self._cache.models())
            self._rng.shuffle(keys)
            pause = 0.9 * self._period / max(1, len(keys))
            for key in keys:
                self._queue.add(key, lane=Lane.RESYNC)
                await asyncio.sleep(pause * self._rng.uniform(0.5, 1.5))
            if not keys:
                await asyncio.sleep(pause)

    async def _relist(self) -> None:
        for kind in WATCHED:
            try:
                changed = await self._list(kind)
            except ApiError as error:
                facts = {"kind": kind.kind, "error": str(error)}
                logger.warning("resync could not list", extra=facts)
                continue
            for key in changed:
                metrics.RESYNC_REPAIRS.labels(kind=kind.kind).inc()
                self._queue.add(key)

    async def _list(self, kind: ResourceKind) -> set[Key]:
        changed: set[Key] = set()
        for namespace in self._namespaces:
            changed |= (await list_into(self._cache, self._api, kind, namespace))[0]
        return changed


async def list_into(
    cache: Cache, api: Api, kind: ResourceKind, namespace: str | None
) -> tuple[set[Key], int]:
    """Takes in a whole list: the keys that it changed something for, and its resourceVersion."""
    changed: set[Key] = set()
    listed: set[Key] = set()
    version = 0
    async for page in api.pages(kind, namespace):
        version = int(page["metadata"]["resourceVersion"])
        for body in page["items"]:
            listed.add(Key(body["metadata"]["namespace"], body["metadata"]["name"]))
            changed |= cache.put(kind, body)
    changed |= cache.prune(kind, namespace, listed, version)
    return changed, version
