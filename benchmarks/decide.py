"""CPU of one pass of the operator's decisions, beside another checkout of Lockstep.

    python -m benchmarks.decide --other CHECKOUT [--json FILE]

Two processes read the same snapshots, one with the `core` and `operator` of this checkout, one with
those of the other. They take turns, and who goes first changes with every pair, so that what else
the machine does meets both. Reported is the ratio of each pair's process CPU time, this over other:
its median with a 95% interval, the least and the most. A pass over `settled` decides for that many
models at rest, one after the other; `candidates` holds a model in each of several stages, and
`many releases` one model with a long record.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.decide_snapshots import GROUPS, Sizes, snapshots

ROOT = Path(__file__).parents[1]
# Passes that are shorter are measured several at a time.
LEAST_MS = 100.0
SIDE = Path(__file__).with_name("decide_side.py")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--other", type=Path, required=True, help="another checkout")
    parser.add_argument("--models", type=int, default=300, help="models at rest")
    parser.add_argument("--releases", type=int, default=30, help="of the model with a long record")
    parser.add_argument("--pairs", type=int, default=40, help="measurements of each group")
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    arguments = parser.parse_args()
    sizes = Sizes(arguments.models, arguments.releases)
    result = compare(arguments.other, sizes, arguments.pairs)
    print_table(result)
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def compare(other: Path, sizes: Sizes, pairs: int) -> dict[str, Any]:
    """The ratios of each group, and what was compared. Raises RuntimeError where `other` is no
    checkout, or a process does not run the code of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "snapshots.json"
        path.write_text(json.dumps(snapshots(sizes)))
        with Side.start(ROOT, path) as this, Side.start(other.resolve(), path) as that:
            groups = {group: ratios(this, that, group, pairs) for group in GROUPS}
            return {
                "groups": groups,
                "samePlans": this.hello["plans"] == that.hello["plans"],
                "versions": {
                    "this": commit(ROOT),
                    "other": commit(other),
                    "python": platform.python_version(),
                    "pydantic": version("pydantic"),
                },
                "cores": os.cpu_count(),
            }


def ratios(this: Side, that: Side, group: str, pairs: int) -> dict[str, Any]:
    """Pairs of measurements of one group, in turns."""
    passes = math.ceil(LEAST_MS / this.measure(group, passes=1))
    times: dict[Side, list[float]] = {this: [], that: []}
    for number in range(pairs):
        for side in (this, that) if number % 2 else (that, this):
            times[side].append(side.measure(group, passes=passes))
    ratio = [a / b for a, b in zip(times[this], times[that], strict=True)]
    interval = median_interval(ratio)
    return {
        "snapshots": this.hello["snapshots"][group],
        "thisMs": round(statistics.median(times[this]), 3),
        "otherMs": round(statistics.median(times[that]), 3),
        "ratio": round(statistics.median(ratio), 4),
        "interval95": None if interval is None else [round(bound, 4) for bound in interval],
        "least": round(min(ratio), 4),
        "most": round(max(ratio), 4),
        "pairs": pairs,
    }


def median_interval(values: list[float]) -> tuple[float, float] | None:
    """The order statistics that hold the median with at least 95%, whatever the distribution (the
    sign test turned round). None for fewer than six values, which cannot."""
    ordered, count = sorted(values), len(values)
    outside, rank = 0.0, 0
    while True:
        outside += 2 * math.comb(count, rank) / 2**count
        if outside > 0.05:
            break
        rank += 1
    return None if rank == 0 else (ordered[rank - 1], ordered[count - rank])


def commit(checkout: Path) -> str:
    """Its commit; `+` where tracked files differ from it."""
    git = ["git", "-C", str(checkout)]
    try:
        head = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
        changed = subprocess.check_output([*git, "status", "--porcelain", "-uno"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+" if changed else head


def print_table(result: dict[str, Any]) -> None:
    print(f"this {result['versions']['this']}, other {result['versions']['other']}")
    print("the same plans" if result["samePlans"] else "PLANS DIFFER")
    print(f"{'group':14} {'this ms':>9} {'other ms':>9} {'ratio':>7} {'95%':>17} {'least':>7} most")
    for group, row in result["groups"].items():
        interval = "-" if row["interval95"] is None else " to ".join(map(str, row["interval95"]))
        print(
            f"{group:14} {row['thisMs']:9.2f} {row['otherMs']:9.2f} {row['ratio']:7.3f}"
            f" {interval:>17} {row['least']:7.3f} {row['most']:.3f}"
        )


# -- one side: a process with the code of one checkout


@dataclass(frozen=True, eq=False)
class Side:
    """A process that decides, and what it said of itself."""

    process: subprocess.Popen[str]
    hello: dict[str, Any]

    @classmethod
    @contextmanager
    def start(cls, checkout: Path, snapshots: Path) -> Iterator[Side]:
        if not (checkout / "operator/lockstep_operator").is_dir():
            raise RuntimeError(f"{checkout} is no checkout of Lockstep")
        paths = [str(checkout / part) for part in ("core", "operator")]
        process = subprocess.Popen(
            [sys.executable, "-P", str(SIDE), str(snapshots)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            hello = _line(process)
            if not Path(hello["code"]).is_relative_to(checkout):
                raise RuntimeError(f"{hello['code']} is not of {checkout}")
            yield cls(process, hello)
        finally:
            process.kill()
            process.communicate()

    def measure(self, group: str, *, passes: int) -> float:
        """CPU milliseconds of one pass over a group, as the mean of so many."""
        assert self.process.stdin is not None
        print(json.dumps({"group": group, "passes": passes}), file=self.process.stdin, flush=True)
        return float(_line(self.process)["ns"]) / 1e6 / passes


def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a measuring process ended with {process.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


if __name__ == "__main__":
    sys.exit(main())
