"""One side of `benchmarks.decide`: decides over snapshots with the code of one checkout.

    python -P benchmarks/decide_side.py SNAPSHOTS

Its first line of output says whose code it is and what it decided. After that it answers each line
`{"group": NAME, "passes": N}` with the process CPU time of so many passes over that group, in
nanoseconds.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import importlib
import json
import sys
import time
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from lockstep_operator import decide as package
from lockstep_operator.api.release import Images
from lockstep_operator.decide import decide

# Where a module was in versions that can be compared, newest first.
OBSERVED = ("lockstep_operator.decide.snapshot.observed", "lockstep_operator.decide.observed")
MEASUREMENTS = (
    "lockstep_operator.decide.snapshot.measurements",
    "lockstep_operator.decide.measurements",
)
FIELDS_OF_0_1 = {
    "releases": "EmbeddingRelease",
    "indexes": "VectorIndex",
    "jobs": "Job",
    "pods": "Pod",
    "deployments": "Deployment",
    "services": "Service",
    "autoscalers": "HorizontalPodAutoscaler",
    "routes": "HTTPRoute",
}
# The metrics that the request gates of every version read: their names are part of the interface.
REQUESTS = "lockstep_encoder_requests_total"
SECONDS = "lockstep_encoder_request_seconds"


def main() -> int:
    observed, measurements = first(OBSERVED), first(MEASUREMENTS)
    images = Images(trainer="trainer:1", encoder="encoder:1", indexer="indexer:1")
    settings = observed.Settings(images=images)
    groups = {
        group: [(built(raw, observed, measurements), now_of(raw)) for raw in snapshots]
        for group, snapshots in json.loads(Path(sys.argv[1]).read_text()).items()
    }
    plans = {
        group: digest([decide(snapshot, settings, now) for snapshot, now in snapshots])
        for group, snapshots in groups.items()
    }
    counts = {group: len(snapshots) for group, snapshots in groups.items()}
    print(json.dumps({"code": package.__file__, "snapshots": counts, "plans": plans}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        snapshots = groups[asked["group"]]
        gc.collect()  # what an earlier pass left is not this one's
        began = time.process_time_ns()
        for _ in range(asked["passes"]):
            for snapshot, now in snapshots:
                decide(snapshot, settings, now)
        print(json.dumps({"ns": time.process_time_ns() - began}), flush=True)
    return 0


def first(names: tuple[str, ...]) -> ModuleType:
    """The first of these modules that this version has."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError(f"none of {', '.join(names)}")


def now_of(raw: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(raw["now"])


def built(raw: dict[str, Any], observed: ModuleType, measurements: ModuleType) -> Any:
    """`Observed` of this version, from the plain JSON of a snapshot."""
    series = {
        measurements.SeriesKey(**one["key"]): tuple(
            measurements.Measurement(
                datetime.fromisoformat(reading["at"]), tally(reading["counts"], measurements)
            )
            for reading in one["readings"]
        )
        for one in raw["measurements"]
    }
    objects = {kind: tuple(found) for kind, found in raw["objects"].items()}
    known = {field.name for field in dataclasses.fields(observed.Observed)}
    by_kind = {"objects": objects} if "objects" in known else fields_of_0_1(objects)
    names = {name: raw[name] for name in ("namespace", "name", "model")}
    return observed.Observed(**names, **by_kind, measurements=series)


def fields_of_0_1(objects: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """A field a kind, as `Observed` had them before it held a mapping."""
    return {field: objects.get(kind, ()) for field, kind in FIELDS_OF_0_1.items()}


def tally(counts: list[dict[str, Any]], measurements: ModuleType) -> Any:
    if hasattr(measurements, "Count"):
        return measurements.Tally(
            {
                count["metric"]: measurements.Count(
                    {tuple(labels): n for labels, n in count["events"]}, dict(count["within"])
                )
                for count in counts
            }
        )
    by_metric = {count["metric"]: count for count in counts}
    nothing: dict[str, Any] = {"events": [], "within": []}
    codes = {labels[-1]: n for labels, n in by_metric.get(REQUESTS, nothing)["events"]}
    timed = by_metric.get(SECONDS, nothing)
    return measurements.Tally(codes, dict(timed["within"]), sum(n for _, n in timed["events"]))


def digest(plans: list[Any]) -> str:
    """Equal where two versions plan the same, whatever their plan's parts are called in code."""
    plain = json.dumps([values(plan) for plan in plans], default=str, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


def values(part: Any) -> Any:
    """What a dataclass holds, without the names of its fields."""
    if dataclasses.is_dataclass(part):
        return [values(getattr(part, field.name)) for field in dataclasses.fields(part)]
    if isinstance(part, list | tuple):
        return [values(inner) for inner in part]
    return part


if __name__ == "__main__":
    sys.exit(main())
