"""Kinds that the cluster may lack: listed and watched where they are, looked for where not.

kopf would say at each start that such a kind cannot be served, and would notice a later one only by
watching all CustomResourceDefinitions, which is a right for the whole cluster. So these kinds have
a watch of their own. Absence is no error: decisions see it (`Cache.serves`), nothing reports it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from collections.abc import Sequence

from lockstep_operator.api.kinds import OPTIONAL, ResourceKind
from lockstep_operator.runtime import metrics
from lockstep_operator.runtime.cache import Cache
from lockstep_operator.runtime.client import Api
from lockstep_operator.runtime.errors import ApiError, NotFound, Refused
from lockstep_operator.runtime.queue import Key, WorkQueue
from lockstep_operator.runtime.sync import RETRY_SECONDS, list_into

LOOK_SECONDS = 10.0
# A watch that ended is begun again with a list: the repair for whatever no watch reported.
WATCH_SECONDS = 300

logger = logging.getLogger(__name__)


class OptionalKinds:
    """Keeps the cache true of them. `namespaces` empty means all of them."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        queue: WorkQueue,
        *,
        namespaces: Sequence[str],
        period: float = LOOK_SECONDS,
        rng: random.Random,
    ) -> None:
        self._api = api
        self._cache = cache
        self._queue = queue
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._period = period
        self._rng = rng
        self._forbidden: set[tuple[str, str | None]] = set()

    async def load(self) -> None:
        """Returns when it is known of each kind whether it is there, and what there is of it."""
        for kind, namespace in self._places():
            while True:
                try:
                    await self._list(kind, namespace)
                    break
                except ApiError as error:
                    self._tell(kind, error)
                    await asyncio.sleep(RETRY_SECONDS)

    async def run(self) -> None:
        """Follows all of them until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind, namespace in self._places():
                group.create_task(self._follow(kind, namespace))

    def _places(self) -> list[tuple[ResourceKind, str | None]]:
        return [(kind, namespace) for kind in OPTIONAL for namespace in self._namespaces]

    async def _follow(self, kind: ResourceKind, namespace: str | None) -> None:
        while True:
            wait = RETRY_SECONDS
            try:
                version = await self._list(kind, namespace)
                if version is None:
                    wait = self._period
                else:
                    await self._watch(kind, namespace, version)
            except ApiError as error:
                self._tell(kind, error)
            await asyncio.sleep(wait * self._rng.uniform(0.5, 1.0))

    async def _list(self, kind: ResourceKind, namespace: str | None) -> int | None:
        """The resourceVersion of the list; None: the kind is not there, or not for us.

        Raises `ApiError` when that is not known.
        """
        try:
            changed, version = await list_into(self._cache, self._api, kind, namespace)
        except (NotFound, Refused) as error:
            if isinstance(error, Refused):
                self._refused(kind, namespace, error)
                if self._cache.serves(kind, namespace):
                    # A right that was lost deletes nothing: what was seen last is what is known,
                    # and a change of it that cannot be read back is not taken for done.
                    return None
            gone = self._cache.prune(kind, namespace, set(), sys.maxsize)
            self._add(gone | self._cache.note_served(kind, namespace, False))
            return None
        self._forbidden.discard((kind.kind, namespace))
        self._add(changed | self._cache.note_served(kind, namespace, True))
        return version

    def _refused(self, kind: ResourceKind, namespace: str | None, error: Refused) -> None:
        if (kind.kind, namespace) in self._forbidden:
            return
        self._forbidden.add((kind.kind, namespace))
        facts = {"kind": kind.kind, "error": str(error), "hint": "upgrade the chart's RBAC"}
        logger.warning("an optional kind cannot be listed", extra=facts)

    async def _watch(self, kind: ResourceKind, namespace: str | None, version: int) -> None:
        async for event in self._api.watch(kind, namespace, version, seconds=WATCH_SECONDS):
            metrics.WATCH_AGES.touch(kind.kind)
            self._add(self._cache.observe(kind, event["type"], event["object"]))

    def _add(self, keys: set[Key]) -> None:
        for key in keys:
            self._queue.add(key)

    def _tell(self, kind: ResourceKind, error: ApiError) -> None:
        # 410: what was listed is too old by now, and is listed again.
        level = logging.DEBUG if error.code == 410 else logging.WARNING
        facts = {"kind": kind.kind, "error": str(error)}
        logger.log(level, "an optional kind is listed again", extra=facts)
