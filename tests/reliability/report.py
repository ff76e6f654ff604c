"""The table of what was measured, for the terminal and for `docs/reliability.md`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.reliability.scenario import Result

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
HEAD = """\
# Reliability

Measured by `make reliability`: every scenario on a real node with real images, {connections}
connections of real queries at the entry point throughout. A request counts as failed when it was
not answered with 200; as mixed when its headers or body name two spaces; as wrong when its
neighbours are not those that the release in its header gives at its own Service. `seconds` is the
whole scenario, and the line is the model's `status.message` at its end. What fails in the scenarios
of an erring encoder are answers of that release itself; any other failure would be told as such.

Measured {date}, on {machine}, {runs}. {versions}

"""
COLUMNS = ("scenario", "requests", "failed", "mixed", "wrong", "seconds", "outcome")


def table(results: Sequence[Result]) -> str:
    """For the terminal: one row each, with the line shown below it."""
    width = max(len(result.name) for result in results)
    rows = [f"{'scenario':{width}}  requests  failed  mixed  wrong  seconds  outcome"]
    for r in results:
        rows.append(
            f"{r.name:{width}}  {r.requests:8,}  {r.failed:6}  {r.mixed:5}  {r.wrong:5}"
            f"  {r.seconds:7.1f}  {r.outcome if r.is_ok else 'NOT AS IT SHOULD BE: ' + r.error}"
        )
        rows.append(f"{'':{width}}  {r.line}")
    return "\n".join(rows)


def as_json(results: Sequence[Result]) -> str:
    return json.dumps([asdict(result) for result in results], indent=1)


def page(
    results: Sequence[Result],
    *,
    connections: int,
    versions: str,
    runs: str = "in one run",
    earlier: Sequence[Result] = (),
) -> str:
    """The text of `docs/reliability.md`: what was measured, and nothing else.

    `earlier` are results of the same scenarios, of runs before, that later ones took the place of.
    """
    head = HEAD.format(
        runs=runs,
        connections=connections,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        machine=machine(),
        versions=versions,
    )
    rows = ["| " + " | ".join(COLUMNS) + " |", "|---|---:|---:|---:|---:|---:|---|"]
    for r in results:
        told = r.outcome if r.is_ok else f"**not as it should be**: {_cell(r.error)}"
        cells = (f"{r.requests:,}", r.failed, r.mixed, r.wrong, f"{r.seconds:.0f}", told)
        rows.append(f"| {r.name} | " + " | ".join(str(cell) for cell in cells) + " |")
    lines = [f"- **{r.name}**: {_cell(r.line)}{_numbers(r)}" for r in results]
    told = "## The status lines, and what else was measured"
    red = [f"- **{r.name}**: {_counts(r)}; {_cell(r.error)}" for r in earlier if not r.is_ok]
    before = ["", "## Not as it should be, in runs before", "", *red] if red else []
    return head + "\n".join([*rows, "", told, "", *lines, *before]) + "\n"


def _counts(result: Result) -> str:
    return f"{result.requests:,} requests, {result.failed} failed, {result.mixed} mixed"


def machine() -> str:
    """Cores, memory and kernel; no name."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores, {pages:.0f} GiB, {platform.system()} {platform.machine()}"


def commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def _numbers(result: Result) -> str:
    shown = {k: v for k, v in result.numbers.items() if k not in ("failures", "failedAt")}
    if result.unchecked:
        # Queries whose own answer the release could not give any more, so that none was compared.
        shown["queriesUnchecked"] = result.unchecked
    return f" `{json.dumps(shown)}`" if shown else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
