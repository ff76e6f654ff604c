"""A folder that an encoder left its features in, rows, datagrams, and a monitor as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from lockstep_core.drift import features_file
from lockstep_core.drift.features import Features, of_embeddings
from lockstep_core.protocol.environment import MONITOR_VARIABLE
from lockstep_core.protocol.monitoring import (
    HANDOVER_NAME,
    SOCKET_NAME,
    Handover,
    Header,
    MonitorConfig,
    RecallConfig,
    TrafficRole,
    model_folder,
)

DIMENSION, SIZE = 16, 64
SPACE = "0123456789ab"
ARTIFACT = "sha256:" + "a" * 64


def rows(count: int, seed: int = 0, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """Distinct unit vectors [count, dimension]."""
    found = np.random.default_rng(seed).normal(size=(count, dimension))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32)


def features(seed: int = 0, dimension: int = DIMENSION) -> Features:
    rng = np.random.default_rng(seed)
    return of_embeddings(rows(200, 99, dimension), rng, size=SIZE, space_id=SPACE)


def hand_over(
    directory: Path, given: Features | None, *, baseline: bytes | None = None, **fields: Any
) -> None:
    """As an encoder does: the files, then who it is."""
    if given is not None:
        folder = directory / model_folder(given.digest)
        folder.mkdir(parents=True, exist_ok=True)
        features_file.write(given, folder / "features.safetensors")
        if baseline is not None:
            (folder / "baseline.json").write_bytes(baseline)
    told = Handover(
        space_id=SPACE,
        artifact_digest=ARTIFACT,
        dimension=given.dim if given else DIMENSION,
        features_digest=given.digest if given else None,
        **fields,
    )
    part = directory / "part"
    part.write_text(told.model_dump_json(by_alias=True))
    part.replace(directory / HANDOVER_NAME)


def header(
    given: Features, count: int, role: TrafficRole = TrafficRole.QUERY, **fields: Any
) -> Header:
    said = {"observed": count, "sampled": count, "dropped": 0, "process": 7} | fields
    dimension = said.pop("dimension", given.dim)
    return Header(role, dimension, count, said.pop("digest", given.digest), **said)


def datagram(
    given: Features,
    vectors: NDArray[np.float32],
    role: TrafficRole = TrafficRole.QUERY,
    **fields: Any,
) -> bytes:
    head = header(given, len(vectors), role, dimension=vectors.shape[1], **fields)
    return head.to_bytes() + vectors.astype("<f4").tobytes()


def config(directory: Path, seconds: int = 300) -> MonitorConfig:
    return MonitorConfig(
        model="glyphs",
        release="glyphs-r1",
        namespace="shop",
        directory=str(directory),
        window_seconds=seconds,
    )


@contextmanager
def short_folder() -> Iterator[Path]:
    """Paths of Unix sockets have 108 bytes at most, and those of pytest may be longer."""
    with tempfile.TemporaryDirectory(prefix="m-", dir="/tmp") as folder:
        yield Path(folder)


@dataclass
class Process:
    """A monitor that listens; `worker` is the process that does the work."""

    process: subprocess.Popen[str]
    url: str
    directory: Path

    @property
    def socket(self) -> Path:
        return self.directory / SOCKET_NAME

    @property
    def worker(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int((children.read_text().split() or ["0"])[0])

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/v1/report").json()
        return found

    def until(self, holds: Any, seconds: float = 30) -> dict[str, Any]:
        """The first report of which that holds."""
        end = time.monotonic() + seconds
        last: Any = None
        while time.monotonic() < end:
            try:
                last = self.report()
                if holds(last):
                    return dict(last)
            except httpx.HTTPError as error:
                last = error
            time.sleep(0.05)
        raise AssertionError(f"never: {last}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def monitor_process(
    directory: Path, seconds: int = 10, recall: RecallConfig | None = None
) -> Iterator[Process]:
    """`lockstep-monitor serve` as a pod runs it."""
    told = config(directory, seconds).model_copy(update={"recall": recall}).to_wire()
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep_monitor", "serve", "--port", str(port)],
        env={**os.environ, MONITOR_VARIABLE: json.dumps(told)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if re.search(r"listening on port", line):
                break
        # Somebody must read on, or the program would block on a full pipe.
        threading.Thread(target=lambda: list(process.stderr or ()), daemon=True).start()
        yield Process(process, f"http://127.0.0.1:{port}", directory)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
