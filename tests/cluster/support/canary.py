"""A canary on a control plane, and what its steps and pauses cost the API server."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from typing import Any

from tests.cluster.support.models import Cluster, model
from tests.cluster.support.operator_process import Writes, wait_for

WRITES_A_STEP = 3
# A step is written with whole seconds, so what was written close to its ends may belong to either.
EDGE_SECONDS = 3.0


def canary_writes(cluster: Cluster, writes: Writes, pause_seconds: int) -> dict[str, Any]:
    """Release 2 goes 25 % -> pause -> 50 % -> pause -> 100 %; what its operator wrote meanwhile.

    The operator runs, and so does something that plays the node.
    """
    steps = [
        {"setWeight": 25},
        {"pause": {"seconds": pause_seconds}},
        {"setWeight": 50},
        {"pause": {"seconds": 5}},
        {"setWeight": 100},
    ]
    glyphs = model("glyphs", steps=steps)
    glyphs["spec"]["serving"] = {"replicas": 3}
    cluster.apply(glyphs)
    cluster.healthy("glyphs", "glyphs-r1")
    changed = time.time()
    cluster.kubectl(
        *("patch", "em", "glyphs", "--type=merge", "-p", '{"spec":{"training":{"seed":1}}}')
    )

    def step() -> int | None:
        found = cluster.control_plane.kubectl(
            *("get", "er", "glyphs-r2", "-n", cluster.namespace, "-o", "json"),
            *("--ignore-not-found",),
        ).stdout
        return None if '"step"' not in found else _index(cluster)

    wait_for("r2 takes its first step", lambda: step() is not None, 90)
    wait_for("r2 pauses", lambda: step() == 1, 60)
    paused = time.time()
    wait_for("the pause to end", lambda: step() != 1, pause_seconds + 60)
    resumed = time.time()
    cluster.healthy("glyphs", "glyphs-r2")
    entries = [entry for entry in writes.all() if moment(entry) > changed]
    quiet = [e for e in entries if paused + EDGE_SECONDS < moment(e) < resumed - EDGE_SECONDS]
    of_steps = _of_steps(entries)
    return {
        "pause_seconds": round(resumed - paused, 1),
        "writes_in_the_pause": dict(_named(quiet)),
        "steps": len(steps) - 1,
        "writes_of_steps": len(of_steps),
        "kinds": dict(_named(of_steps)),
        "sequence": [_told(entry, paused) for entry in of_steps],
    }


def _index(cluster: Cluster) -> int | None:
    at = cluster.status("er", "glyphs-r2").get("step")
    return None if at is None else int(at["index"])


def _of_steps(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """From the record of the first step, which comes right before the entry point is shared, until
    the entry point moves as a whole: the last write of the Service of the model."""
    ordered = sorted(entries, key=moment)
    entry = ("services", "glyphs")
    moves = [
        place
        for place, found in enumerate(ordered)
        if (found["objectRef"]["resource"], found["objectRef"].get("name")) == entry
    ]
    return ordered[moves[0] - 1 : moves[-1]]


def moment(entry: dict[str, Any]) -> float:
    """When the API server got the request, in seconds since the epoch."""
    return datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()


def _named(entries: list[dict[str, Any]]) -> Counter[str]:
    return Counter(
        f"{e['verb']} {e['objectRef']['resource']}/{e['objectRef'].get('name')}" for e in entries
    )


def _told(entry: dict[str, Any], since: float) -> str:
    of = entry["objectRef"]
    return f"{moment(entry) - since:.1f} s {entry['verb']} {of['resource']}/{of.get('name')}"
