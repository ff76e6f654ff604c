"""A pause of ten minutes, and 300 releases side by side: writes, memory, cause to effect."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.cluster.support.canary import WRITES_A_STEP, canary_writes, moment
from tests.cluster.support.kubelet import Kubelet
from tests.cluster.support.models import Cluster, Launch, model, no_crash
from tests.cluster.support.operator_process import Writes

RELEASES = 300


def test_nothing_is_written_in_a_pause_of_ten_minutes(
    cluster: Cluster,
    launch: Launch,
    writes: Writes,
    kubelet: Kubelet,
    record_property: Callable[[str, object], None],
) -> None:
    operator = launch(resync_seconds=60.0)
    measured = canary_writes(cluster, writes, 600)
    record_property("pause_of_ten_minutes", json.dumps(measured))
    print(json.dumps(measured))
    assert measured["writes_in_the_pause"] == {}
    assert measured["writes_of_steps"] <= WRITES_A_STEP * measured["steps"], measured
    no_crash(operator)


def test_three_hundred_releases_each_hear_of_a_cause_within_a_second(
    cluster: Cluster,
    launch: Launch,
    writes: Writes,
    record_property: Callable[[str, object], None],
) -> None:
    """The cause is an annotation, the effect the first write for that model; both as the API
    server saw them. One after the other, then all of them as fast as kubectl can."""
    operator = launch()
    cluster.apply(*(model(f"m{number}") for number in range(RELEASES)))
    cluster.trains(RELEASES, float(RELEASES))
    writes.settled()
    paced = _measure(cluster, writes, [f"m{n}" for n in range(0, RELEASES, 3)], pace=0.2)
    burst = _measure(cluster, writes, [f"m{n}" for n in range(1, RELEASES, 3)], pace=None)
    measured = {
        "releases": RELEASES,
        "rss_mib": round(operator.resident_mib(), 1),
        "cause_to_effect_seconds": paced,
        "cause_to_effect_seconds_in_a_burst": burst,
    }
    record_property("three_hundred_releases", json.dumps(measured))
    print(json.dumps(measured))
    no_crash(operator)


def _measure(
    cluster: Cluster, writes: Writes, names: list[str], *, pace: float | None
) -> dict[str, float]:
    """Quantiles of the seconds from `abort` to the first write of the release's status."""
    log = cluster.control_plane.audit_log
    offset = log.stat().st_size
    if pace is None:
        cluster.kubectl("annotate", "em", *names, "lockstep.dev/abort=r1")
    else:
        for name in names:
            cluster.kubectl("annotate", "em", name, "lockstep.dev/abort=r1")
            time.sleep(pace)
    writes.settled()
    causes: dict[str, float] = {}
    effects: dict[str, float] = {}
    with log.open("rb") as file:
        file.seek(offset)
        for line in file:
            entry: dict[str, Any] = json.loads(line)
            of, name = entry["objectRef"], entry["objectRef"].get("name", "")
            if entry["verb"] != "patch" or of.get("namespace") != cluster.namespace:
                continue
            if of["resource"] == "embeddingmodels" and entry["user"]["username"] != writes.user:
                causes[name] = moment(entry)
            elif of["resource"] == "embeddingreleases" and of.get("subresource") == "status":
                effects.setdefault(name.removesuffix("-r1"), moment(entry))
    taken = sorted(effects[name] - causes[name] for name in names)
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    found = {key: taken[min(len(taken) - 1, int(len(taken) * part))] for key, part in at.items()}
    return {"n": len(taken), **{key: round(value, 3) for key, value in found.items()}}
