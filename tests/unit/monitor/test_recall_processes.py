"""A real monitor beside a real index server: what an index loses is what is counted."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import numpy as np
import pytest

from lockstep_core.protocol.config import IndexServerConfig
from lockstep_core.protocol.environment import TERMINATION_PATH_VARIABLE
from lockstep_core.protocol.monitoring import RecallConfig, RecallIndex
from lockstep_core.protocol.recall import RecallAnswer
from lockstep_indexer.vectors import restore
from lockstep_monitor.recall_client import Refused, neighbours
from tests.unit.indexer.support import DEGRADED, Sealed, clustered_vectors, sealed
from tests.unit.monitor.support import datagram, features, hand_over, monitor_process, short_folder

pytestmark = [pytest.mark.unit, pytest.mark.programs]

DIMENSION = 24


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """Of a graph with hardly any links: it loses many neighbours."""
    return sealed(clustered_vectors(), DEGRADED, tmp_path_factory.mktemp("recall") / "sealed")


@pytest.fixture(scope="module")
def url(build: Sealed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    told = IndexServerConfig(
        release="unlike-r1",
        index="unlike",
        artifacts=build.config.artifacts,
        build_digest=build.digest,
        space_id=build.config.space_id,
    )
    (folder / "config.json").write_text(json.dumps(told.to_wire()))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "lockstep_indexer", "serve", "--port", "0"),
            *("--host", "127.0.0.1", "--config", str(folder / "config.json")),
            *("--drain-seconds", "0"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, TERMINATION_PATH_VARIABLE: str(folder / "termination")},
    )
    assert process.stderr is not None
    found = next(m for line in process.stderr if (m := re.search(r"on port (\d+)", line)))
    threading.Thread(target=lambda: list(process.stderr or ()), daemon=True).start()
    address = f"http://127.0.0.1:{found[1]}"
    try:
        until(lambda: httpx.get(f"{address}/readyz").status_code == 200)
        yield address
    finally:
        process.kill()
        process.wait()


def until(holds: Any, seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError("never")


def of(build: Sealed, url: str, **fields: Any) -> RecallIndex:
    told = {
        "name": "unlike",
        "url": url,
        "buildDigest": build.digest,
        "spaceID": build.config.space_id,
    }
    return RecallIndex.model_validate({**told, **fields})


def queries(count: int) -> np.ndarray:
    """Near stored vectors, and none of them."""
    stored = restore(clustered_vectors())
    rng = np.random.default_rng(3)
    found = stored[rng.choice(len(stored), count, replace=False)]
    found = found + rng.normal(size=found.shape) * 0.03
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@contextmanager
def watching(index: RecallIndex) -> Iterator[tuple[Any, Any]]:
    """A monitor that measures, and what sends it queries."""
    given = features(dimension=DIMENSION)
    with (
        short_folder() as folder,
        monitor_process(folder, 10, RecallConfig(per_minute=600, indexes=(index,))) as monitor,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to,
    ):
        hand_over(folder, given)

        def send(rows: np.ndarray) -> None:
            to.sendto(datagram(given, rows), str(monitor.socket))

        yield monitor, send


def answer_of(monitor: Any) -> RecallAnswer:
    text = httpx.get(f"{monitor.url}/v1/recall", params={"after": -1}).text
    return RecallAnswer.model_validate_json(text)


def test_what_a_poor_index_loses_is_counted(build: Sealed, url: str) -> None:
    index, found = of(build, url), queries(400)
    lost = [neighbours(index, row, 10, exact=False) for row in found[:60]]
    exact = [neighbours(index, row, 10, exact=True) for row in found[:60]]
    direct = np.mean(
        [
            len({hit.id for hit in some} & {hit.id for hit in all_of}) / 10
            for some, all_of in zip(lost, exact, strict=True)
        ]
    )
    assert 0.05 < direct < 0.9
    with watching(index) as (monitor, send):
        counted = 0
        for row in found:
            send(row[np.newaxis])
            time.sleep(0.05)
            answer = answer_of(monitor)
            counted = sum(each.n for each in [*answer.windows, *answer.open])
            if counted >= 15:
                break
        answer = answer_of(monitor)
        windows = [*answer.windows, *answer.open]
        counted = sum(each.n for each in windows)
        assert counted >= 15, answer
        mean = sum(each.n * each.mean for each in windows) / counted
        assert abs(mean - direct) < 0.3
        assert {each.build for each in windows} == {build.digest} and answer.problem is None
        series = httpx.get(f"{monitor.url}/metrics").text
        hits = re.search(r'recall_hits_total{index="unlike",k="10"} ([\d.]+)', series)
        expected = re.search(r'recall_expected_total{index="unlike",k="10"} ([\d.]+)', series)
        assert hits and expected
        assert float(hits[1]) / float(expected[1]) == pytest.approx(mean, abs=0.02)


def test_an_index_of_another_build_is_told_and_never_counted(build: Sealed, url: str) -> None:
    other = of(build, url, buildDigest="sha256:" + "e" * 64)
    with pytest.raises(Refused, match="refused") as refused:
        neighbours(other, queries(1)[0], 10, exact=False)
    assert refused.value.reason == "Pairing"
    with watching(other) as (monitor, send):

        def told() -> str | None:
            send(queries(20))
            return answer_of(monitor).problem

        assert "unlike" in until(told)
        answer = answer_of(monitor)
        assert not answer.windows and not answer.open
        # What it sums up goes on beside it.
        monitor.until(lambda report: report["features"] is not None)


def test_an_index_that_is_gone_is_told(build: Sealed) -> None:
    with pytest.raises(Refused, match="does not answer") as refused:
        neighbours(of(build, "http://127.0.0.1:9"), queries(1)[0], 10, exact=True)
    assert refused.value.reason == "Unavailable"


@pytest.mark.parametrize(
    "reply, reason",
    [
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "Overloaded"),
        (b"HTTP/1.1 503 Unavailable\r\nContent-Length: 2\r\n\r\nno", "Unavailable"),
        (b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 0\r\n\r\n", "Malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "Pairing"),
        (b"nonsense\r\n\r\n", "Unavailable"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}", "Pairing"),
        (b"", "Unavailable"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"[" * 5_000_000, "Unavailable"),
        (
            b"HTTP/1.1 200 OK\r\nx-lockstep-index-space: 000000000000\r\nx-lockstep-build: "
            b"sha256:" + b"1" * 64 + b'\r\nContent-Length: 14\r\n\r\n{"results":[]}',
            "Malformed",
        ),
    ],
)
def test_an_answer_that_is_none_is_not_counted(reply: bytes, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                with suppress(OSError):
                    client.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        index = RecallIndex(
            name="letters",
            url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            build_digest="sha256:" + "1" * 64,
            space_id="0" * 12,
        )
        with pytest.raises(Refused) as refused:
            neighbours(index, queries(1)[0], 10, exact=True)
        assert refused.value.reason == reason
        thread.join(10)
