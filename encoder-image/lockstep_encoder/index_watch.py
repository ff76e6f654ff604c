"""A candidate whose index is gone leaves the entry point, while its stable release answers there.

Its pods cannot answer searches, and another release behind the same entry point can: the kubelet
takes a pod that is not Ready out of the Services, also while the operator is away. An encoder that
answers alone stays Ready: it still embeds, and a clear 503 with Retry-After says more than a
refused connection. So a candidate asks who else answers, at the entry point itself and each time
anew: once it was promoted, nobody else does, and nothing about its pods has to change.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from lockstep_core.protocol.config import CanaryConfig, IndexEndpoint
from lockstep_core.serving.errors import RequestError
from lockstep_core.serving.lifecycle import Lifecycle
from lockstep_encoder.index_client import IndexClient, IndexUnavailable, PairingRefused

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
# A restart of an index server that others stand in for, or a connection lost, is no reason to go.
HOLD_SECONDS = 3.0
# Where both share the entry point, a connection may reach a pod of the candidate itself.
ASKED_AT_ONCE = 8


class IndexWatch:
    """Asks every index of a candidate each second, from the moment that the pair was verified."""

    def __init__(
        self,
        canary: CanaryConfig,
        indexes: Sequence[IndexEndpoint],
        client: IndexClient,
        lifecycle: Lifecycle,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._canary = canary
        self._indexes = indexes
        self._client = client
        self._lifecycle = lifecycle
        self._clock = clock
        # When each index that does not answer was first found so, on `clock`.
        self._lost_at: dict[str, float] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_SECONDS)

    async def look(self) -> None:
        """Asks once, and changes what the pod waits for."""
        for index in self._indexes:
            why = await self._trouble(index)
            if why is None:
                self._lost_at.pop(index.name, None)
                self._lifecycle.passed(f"index {index.name}")
                continue
            lost_at = self._lost_at.setdefault(index.name, self._clock())
            if self._clock() - lost_at >= HOLD_SECONDS:
                await self._leave_or_stay(index, why)

    async def _trouble(self, index: IndexEndpoint) -> str | None:
        try:
            await self._client.ask_ready(index)
        except (IndexUnavailable, PairingRefused, RequestError) as error:
            return str(error)
        return None

    async def _leave_or_stay(self, index: IndexEndpoint, why: str) -> None:
        check, stable = f"index {index.name}", self._canary.beside
        if await self._stable_answers():
            if check not in self._lifecycle.waiting:
                logger.warning("leaving the entry point to %s: %s", stable, why)
            self._lifecycle.wait_for(check, f"{why}; {stable} answers instead")
            return
        self._lifecycle.passed(check)

    async def _stable_answers(self) -> bool:
        for _ in range(ASKED_AT_ONCE):
            release = await self._client.who_answers(self._canary.entry_url)
            if release is None:
                return False
            if release == self._canary.beside:
                return True
        return False
