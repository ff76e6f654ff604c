"""One monitor: datagrams in, windows kept, whatever the encoder beside it does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lockstep_core.drift.sketch import Sketch
from lockstep_core.protocol.monitoring import (
    HEADER_BYTES,
    Header,
    MonitorConfig,
    RecallConfig,
    TrafficRole,
    read_header,
)
from lockstep_monitor import handover
from lockstep_monitor.handover import NOTHING, Watched
from lockstep_monitor.keeping import Kept
from lockstep_monitor.memory import give_back
from lockstep_monitor.metrics import MonitorMetrics
from lockstep_monitor.recall import Recall
from lockstep_monitor.recall_counts import RecallCounts
from lockstep_monitor.windows import Windows

logger = logging.getLogger(__name__)


class Monitor:
    """What `Server` shows, and `take` and `tick` change: both on the thread of the socket."""

    def __init__(self, config: MonitorConfig, *, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.metrics = MonitorMetrics()
        self.watched: Watched = NOTHING
        self.windows: Windows | None = None
        # The last datagram that was not summed up, in words.
        self.refusal: str | None = None
        asked = config.recall or RecallConfig(per_minute=0)
        counts = RecallCounts(asked.k, seconds=config.window_seconds, clock=clock)
        self.recall = Recall(asked, counts, self.metrics)
        self._clock = clock
        self._directory = Path(config.directory)
        self._stamp: tuple[int, int] | None = None

    def tick(self) -> None:
        """Looks at what the encoder left, and closes a window whose time is over."""
        stamp = handover.stamp(self._directory)
        if stamp is not None and stamp != self._stamp:
            self._stamp = stamp
            self._watch(handover.read(self._directory))
        if self.windows is not None:
            self.windows.roll()
            self.metrics.open_window.set(self.windows.open_window)
            self.metrics.bets.set(self.windows.bets)

    def take(self, datagram: bytes | memoryview) -> None:
        """Sums a datagram up, or counts it with the reason. Never raises for what it holds."""
        begun = time.perf_counter()
        try:
            header = read_header(datagram)
        except ValueError as error:
            self._refuse("Malformed", str(error))
            return
        windows = self.windows
        if windows is None or windows.features.digest != header.features_digest:
            # The encoder may have left them just now.
            self.tick()
            windows = self.windows
        if not self._fits(windows, header):
            return
        assert windows is not None
        rows = np.frombuffer(datagram, dtype="<f4", offset=HEADER_BYTES)
        # The buffer is used again for the next datagram.
        vectors = rows.reshape(header.count, header.dimension).astype(np.float32)
        windows.add(header, vectors)
        if header.role is TrafficRole.QUERY:
            self.recall.offer(vectors)
        self.metrics.embeddings.labels(header.role.value).inc(header.count)
        self.metrics.update_seconds.observe(time.perf_counter() - begun)

    def _fits(self, windows: Windows | None, header: Header) -> bool:
        if windows is None:
            self._refuse("NoModel", self.watched.problem or "")
        elif windows.features.digest != header.features_digest:
            self._refuse(
                "Features",
                f"embeddings are for features {header.features_digest}, this pod's are"
                f" {windows.features.digest}",
            )
        elif windows.features.dim != header.dimension:
            self._refuse(
                "Dimension",
                f"embeddings have {header.dimension} numbers, the features are of"
                f" {windows.features.dim}",
            )
        else:
            return True
        return False

    def _refuse(self, reason: str, words: str) -> None:
        self.metrics.refused.labels(reason).inc()
        if words != self.refusal:
            logger.warning("a datagram was not summed up: %s", words)
        self.refusal = words

    def _closed(self, sketches: Sequence[Sketch]) -> None:
        self.metrics.closed(sketches)
        give_back()

    def _watch(self, watched: Watched) -> None:
        self.watched = watched
        features = watched.features
        if watched.handover is None or features is None:
            logger.warning("nothing is watched: %s", watched.problem)
            self.windows = None
            return
        if self.windows is not None and self.windows.features.digest == features.digest:
            # The encoder's container began again: its windows go on.
            return
        self.windows = Windows(
            features,
            seconds=self.config.window_seconds,
            unit_norm=watched.handover.unit_norm,
            clock=self._clock,
            rng=np.random.default_rng(),
            tell=self._closed,
            files=Kept(self._directory, features.digest),
        )
        self.metrics.info.clear()
        space = watched.handover.space_id
        labels = (self.config.model, self.config.release, space, features.digest)
        self.metrics.info.labels(*labels).set(1)
        give_back()
        logger.info("watching space %s with features %s", space, features.digest)
