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
    """`Observed` of this version, from the plain JSON of its fields."""
    fields = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in raw["observed"].items()
    }
    series = {
        measurements.SeriesKey(**one["key"]): tuple(
            measurements.Measurement(
                datetime.fromisoformat(reading["at"]),
                measurements.Tally(
                    reading["codes"],
                    {float(edge): count for edge, count in reading["within"].items()},
                    reading["timed"],
                ),
            )
            for reading in one["readings"]
        )
        for one in raw["measurements"]
    }
    return observed.Observed(**fields, measurements=series)


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
