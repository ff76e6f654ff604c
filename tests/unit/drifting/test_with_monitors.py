"""The operator's stream against the pages of real monitors: sketches, bets and evidence between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from lockstep_core.protocol.drift import Parameters, Seen
from lockstep_monitor.monitor import Monitor
from lockstep_monitor.serve import page_server
from lockstep_operator.decide.snapshot.measurements import Target
from lockstep_operator.runtime.drift_store import DriftStore, Place
from lockstep_operator.runtime.drift_stream import Stream, bets_request
from lockstep_operator.runtime.monitors import Monitors
from tests.unit.drifting.pods import ConfigMaps, watch_of
from tests.unit.drifting.streams import draw, features
from tests.unit.monitor import support

pytestmark = pytest.mark.unit

SECONDS, START = 10, 1000
PARAMETERS = Parameters(
    "glyphs-r1", window_seconds=SECONDS, baseline_windows=8, budget_windows=100.0
)


class Cluster:
    """Two monitors behind their own page servers; the test turns the clock and embeds."""

    def __init__(self, folders: list[Path]) -> None:
        self.now = float(START * SECONDS)
        self.window = START
        self.sent = 0
        self.monitors = []
        for folder in folders:
            support.hand_over(folder, features())
            monitor = Monitor(support.config(folder, SECONDS), clock=lambda: self.now)
            monitor.tick()
            self.monitors.append(monitor)
        self.servers = [page_server(monitor, 0, "127.0.0.1") for monitor in self.monitors]
        for server in self.servers:
            server.start()
        self.targets = tuple(
            Target(f"uid-{number}", f"pod-{number}", f"http://127.0.0.1:{server.port}")
            for number, server in enumerate(self.servers)
        )

    def embed(self, n: int, shift: float) -> None:
        """A window of traffic, then the clock turns to the next one."""
        for number, monitor in enumerate(self.monitors):
            rng = np.random.default_rng((self.window, number))
            x = draw(rng, n // len(self.monitors), shift)
            for start in range(0, len(x), 50):
                part = x[start : start + 50]
                self.sent += len(part)
                counts = {"observed": self.sent, "sampled": self.sent, "process": number + 1}
                monitor.take(support.datagram(features(), part, **counts))
        self.window += 1
        self.now = float(self.window * SECONDS) + 0.5
        for monitor in self.monitors:
            monitor.tick()

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


@pytest.fixture
def folders() -> Iterator[list[Path]]:
    with ExitStack() as stack:
        yield [stack.enter_context(support.short_folder()) for _ in range(2)]


@pytest_asyncio.fixture
async def cluster(folders: list[Path]) -> AsyncIterator[Cluster]:
    found = Cluster(folders)
    yield found
    found.stop()


async def test_learning_quiet_and_drift_by_bets_that_the_monitors_held(cluster: Cluster) -> None:
    api: Any = ConfigMaps()
    asking = Monitors(timeout=5.0)
    place = Place("shop", "glyphs", "watch", "policy-uid")
    stream = Stream("policy-uid", DriftStore(api, place), asking)
    watch = watch_of(cluster.targets, PARAMETERS, first=START)

    async def next_window(shift: float = 0.0) -> Any:
        cluster.embed(400, shift)
        report = await stream.look(watch, cluster.window - 1)
        assert (report.problem, report.note, report.answered) == ("", "", 2)
        digest, bets = stream.bets
        for target in cluster.targets if bets else ():
            await asking.put_bets(target, bets_request(digest, bets))
        return report.roles[0]

    try:
        for learned in range(1, 8):
            assert (await next_window()).learned == learned
        for _ in range(6):
            role = await next_window()
            assert not role.seen
        assert role.judged.samples == 400
        for _ in range(15):
            role = await next_window(shift=0.15)
            if Seen.EVIDENCE in role.seen:
                break
        assert Seen.EVIDENCE in role.seen, role
        assert role.evidence_log10 >= role.threshold_log10
        # The evidence is of bets that the monitors held: they report what those won.
        assert all(monitor.windows and monitor.windows.bets for monitor in cluster.monitors)
    finally:
        await asking.close()
