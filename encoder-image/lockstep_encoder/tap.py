"""A sample of what is embedded, handed to the monitor of the pod.

Each second a uniform sample of what that second embedded goes out, `maxPerSecond` at most, the
roles sharing it half and half where both want more. So within a second and a role each embedding
is as likely as any other, whichever request it came in. Above the budget a busy second has the same
say as a quiet one: over a window the rows stand for its seconds, and not for its requests.

Serving waits for none of it: rows go as datagrams that are dropped, and counted, where there is no
monitor or no room. The socket's buffer is the queue.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lockstep_core.protocol.monitoring import (
    SOCKET_NAME,
    Header,
    TapConfig,
    TrafficRole,
)
from lockstep_encoder.metrics import EncoderMetrics
from lockstep_encoder.model import Model
from lockstep_encoder.sampling import Row, Sample, share, thinned

logger = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
# Larger ones would fill the buffer of a socket (208 KiB) with one or two.
_PREFERRED_BYTES = 32 * 1024


@dataclass
class _OfRole:
    sample: Sample
    observed: int = 0
    sampled: int = 0
    dropped: int = 0


@contextmanager
def open_tap(
    config: TapConfig | None, model: Model, metrics: EncoderMetrics
) -> Iterator[Tap | None]:
    """None where no monitor was told of, or it has nothing to sum up with. Never raises: an encoder
    that cannot be watched serves."""
    digest = model.features_digest
    if config is None or digest is None:
        yield None
        return
    try:
        tap = Tap(config, features_digest=digest, dimension=model.dimension, metrics=metrics)
    except OSError as error:
        logger.warning("no socket for the monitor (%s), so nothing is watched", error)
        yield None
        return
    with closing(tap):
        yield tap


class Tap:
    """Of one encoder; all of it runs on the event loop. `features_digest` is of the release's own
    features, `dimension` of its embeddings."""

    def __init__(
        self,
        config: TapConfig,
        *,
        features_digest: str,
        dimension: int,
        metrics: EncoderMetrics,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._budget = config.max_per_second
        self._path = str(Path(config.directory) / SOCKET_NAME)
        self._digest = features_digest
        self._dimension = dimension
        self._metrics = metrics
        self._chance = chance
        self._process = secrets.randbits(32)
        self._roles = {role: _OfRole(Sample(self._budget, chance)) for role in TrafficRole}
        # One at least: features are made only for embeddings of which one fits.
        self._rows = max(1, _PREFERRED_BYTES // (4 * dimension))
        self._queue: deque[tuple[TrafficRole, list[Row]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._pacing: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def offer(self, role: TrafficRole, vectors: NDArray[np.float32]) -> None:
        """Considers the embeddings [n, dimension] of a request. Never raises."""
        if self._socket is None:
            return
        try:
            self._roles[role].sample.offer(vectors)
            if self._timer is None:
                self._timer = self._loop.call_later(PERIOD_SECONDS, self._end_period)
        except Exception:
            logger.exception("the monitor is told no more: a sample could not be taken")
            self.close()

    def close(self) -> None:
        """Sends what was chosen and not yet sent, as far as there is room now."""
        if self._socket is None:
            return
        for timer in (self._timer, self._pacing):
            if timer is not None:
                timer.cancel()
        self._choose()
        while self._queue:
            self._send(*self._queue.popleft())
        self._socket.close()
        self._socket = None

    def _end_period(self) -> None:
        self._timer = None
        self._choose()
        self._send_next(PERIOD_SECONDS / (len(self._queue) + 1))

    def _choose(self) -> None:
        """Puts this period's rows into the queue; what is still there of the last one has waited
        for longer than a period."""
        while self._queue:
            role, rows = self._queue.popleft()
            self._lost(role, len(rows), "Full")
        taken: dict[TrafficRole, list[Row]] = {}
        for role, state in self._roles.items():
            seen = state.sample.seen
            taken[role] = state.sample.take()
            state.observed += seen
            self._metrics.monitor_observed.labels(role.value).inc(seen)
        queries, embeddings = TrafficRole.QUERY, TrafficRole.EMBEDDING
        counts = share(self._budget, (len(taken[queries]), len(taken[embeddings])))
        for role, count in zip((queries, embeddings), counts, strict=True):
            rows = thinned(taken[role], count, self._chance)
            self._roles[role].sampled += count
            self._metrics.monitor_sampled.labels(role.value).inc(count)
            for start in range(0, count, self._rows):
                self._queue.append((role, rows[start : start + self._rows]))

    def _send_next(self, pause: float) -> None:
        """One datagram, and the next after `pause` seconds: a burst would find the buffer full."""
        self._pacing = None
        if self._queue:
            self._send(*self._queue.popleft())
        if self._queue:
            self._pacing = self._loop.call_later(pause, self._send_next, pause)

    def _send(self, role: TrafficRole, rows: list[Row]) -> None:
        assert self._socket is not None
        state = self._roles[role]
        header = Header(
            role,
            self._dimension,
            len(rows),
            self._digest,
            state.observed,
            state.sampled,
            state.dropped,
            self._process,
        )
        data = header.to_bytes() + np.stack(rows).astype("<f4", copy=False).tobytes()
        try:
            self._socket.sendto(data, self._path)
        except (FileNotFoundError, ConnectionRefusedError):
            self._lost(role, len(rows), "NoMonitor")
        except OSError:
            # EAGAIN and ENOBUFS: no room.
            self._lost(role, len(rows), "Full")

    def _lost(self, role: TrafficRole, count: int, reason: str) -> None:
        self._roles[role].dropped += count
        self._metrics.monitor_dropped.labels(reason).inc(count)
