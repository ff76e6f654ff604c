"""What the monitor costs: an encoder with it beside one without, asked in turn.

`python -m benchmarks.monitoring` prints p50 and p95 of both, over requests that alternate between
them, so that whatever else the machine does falls on both alike; and the memory of the monitor. The
encoder is as small as can be: its sample costs a larger share of its time than of any other.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np

from lockstep_core.protocol.environment import MONITOR_VARIABLE
from lockstep_core.protocol.monitoring import TapConfig
from tests.unit.encoder.support import (
    encoder_arguments,
    encoder_config,
    letters,
    publish_model,
    spawning,
)
from tests.unit.encoder.test_watched import watched
from tests.unit.monitor.support import monitor_process, short_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000, help="of each encoder (%(default)s)")
    parser.add_argument("--items", type=int, default=1, help="of a request (%(default)s)")
    given = parser.parse_args()
    with TemporaryDirectory() as work, short_folder() as shared:
        found = _measured(Path(work), shared, given.requests, given.items)
    print(json.dumps(found, indent=1))


def _measured(work: Path, shared: Path, requests: int, items: int) -> dict[str, object]:
    (work / "processes").mkdir()
    store = work / "store"
    store.mkdir()
    model = publish_model(store, work / "plain", seed=1)
    digest, _, features = watched(store, model, work / "watched")
    config = encoder_config(store, model, artifactDigest=digest)
    tap = {MONITOR_VARIABLE: json.dumps(TapConfig(directory=str(shared)).to_wire())}
    images, _ = letters()
    body = {"input": images[:items].reshape(items, -1).tolist()}
    with spawning(work / "processes") as start, monitor_process(shared) as monitor:
        plain = start(encoder_arguments(), config).until_ready()
        tapped = start(encoder_arguments(), config, **tap).until_ready()
        monitor.until(lambda report: report["featuresDigest"] == features.digest)
        urls = {"without": f"{plain.url}/v1/embeddings", "with": f"{tapped.url}/v1/embeddings"}
        seconds = _asked_in_turn(urls, body, requests)
        resident = {"supervisor": monitor.process.pid, "worker": monitor.worker}
        memory = {name: _memory(pid) for name, pid in resident.items()}
    return {"milliseconds": {n: _summary(v) for n, v in seconds.items()}, "MiB": memory}


def _asked_in_turn(urls: dict[str, str], body: object, requests: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in urls}
    with httpx.Client() as client:
        for number in range(requests + 50):
            # Which is first alternates too.
            for name in sorted(urls, reverse=bool(number % 2)):
                begun = time.perf_counter()
                client.post(urls[name], json=body).raise_for_status()
                if number >= 50:
                    seconds[name].append(time.perf_counter() - begun)
    return seconds


def _summary(seconds: list[float]) -> dict[str, float]:
    p50, p95, p99 = (1000 * float(np.percentile(seconds, share)) for share in (50, 95, 99))
    return {"p50": round(p50, 3), "p95": round(p95, 3), "p99": round(p99, 3)}


def _memory(pid: int) -> dict[str, int]:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {
        name: int(re.findall(rf"^{name}:\s+(\d+)", text, re.MULTILINE)[0]) // 1024
        for name in ("Rss", "Pss", "Anonymous")
    }


if __name__ == "__main__":
    main()
