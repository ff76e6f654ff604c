"""`python -m tests.reliability [--write] [SCENARIO…]`: the whole matrix, or some of it.

Goes on when a scenario fails, and exits 1 then. The cluster is up and has the images and the chart
(`make reliability` sees to that).
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import signal
import sys
from pathlib import Path

from tests.e2e.support.ground import CONNECTIONS
from tests.e2e.support.install import install
from tests.e2e.support.kube import Kube
from tests.reliability import (
    autoscaling,
    business,
    canary,
    defects,
    drift,
    drift_faults,
    gateway,
    mirror,
    promoted,
)
from tests.reliability.grounds import Grounds
from tests.reliability.report import PAGE, as_json, commit, page, table
from tests.reliability.scenario import SCENARIOS, Result, run

__all__ = [
    "autoscaling",
    "business",
    "canary",
    "defects",
    "drift",
    "drift_faults",
    "gateway",
    "mirror",
    "promoted",
]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="names, or globs of them")
    parser.add_argument("--list", action="store_true", help="the names, and nothing else")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument(
        "--report", type=Path, nargs="+", metavar="FILE", help="write the page of earlier results"
    )
    options = parser.parse_args(arguments)
    if options.report:
        return report(options.report)
    chosen = [n for n in SCENARIOS if _is_chosen(n, options.scenarios)]
    if options.list or not chosen:
        print("\n".join(SCENARIOS))
        return 0 if options.list else 2
    # An end by signal takes its worlds, and the load in them, along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = tell(chosen, options.json)
    print(table(results))
    print(as_json(results))
    if options.write:
        PAGE.write_text(page(results, connections=CONNECTIONS, versions=versions()))
    return 0 if all(result.is_ok for result in results) else 1


def report(files: list[Path]) -> int:
    """The page of results that were written by `--json`, the last one of each scenario."""
    told = [Result(**row) for file in files for row in json.loads(file.read_text())]
    last = {result.name: result for result in told}
    results = [last[name] for name in SCENARIOS if name in last]
    text = page(
        results,
        connections=CONNECTIONS,
        versions=versions("up to "),
        runs=f"in {len(files)} runs; of each scenario the last result",
        earlier=[result for result in told if result is not last[result.name]],
    )
    PAGE.write_text(text)
    return 0 if all(result.is_ok for result in results) else 1


def tell(names: list[str], file: Path | None) -> list[Result]:
    """Runs the scenarios one after the other, by ground; `file` has the results so far."""
    kube = Kube.find()
    install(kube)
    grounds, results = Grounds(kube), []
    try:
        for name in sorted(names, key=lambda n: list(SCENARIOS).index(n)):
            kind = SCENARIOS[name][0]
            print(f"== {name}", file=sys.stderr, flush=True)
            try:
                ground = grounds.get(kind)
            except Exception as error:
                grounds.drop(kind)
                results.append(Result(name, error=f"no ground: {error}"))
                continue
            results.append(run(name, ground))
            print(table(results[-1:]), file=sys.stderr, flush=True)
            if file is not None:
                file.write_text(as_json(results))
            if not results[-1].is_ok:
                grounds.drop(kind)
    finally:
        grounds.close()
    return results


def versions(at: str = "at ") -> str:
    kube = Kube.find()
    server = kube.run("version", "-o", "json")
    found = [line.split('"')[3] for line in server.splitlines() if '"gitVersion"' in line]
    return f"Kubernetes {found[-1]}, Lockstep {at}{commit()}."


def _is_chosen(name: str, patterns: list[str]) -> bool:
    """Names have spaces, which a word of the command line has as hyphens."""
    word = name.replace(" ", "-")
    return not patterns or any(fnmatch.fnmatch(word, p.replace(" ", "-")) for p in patterns)


if __name__ == "__main__":
    sys.exit(main())
