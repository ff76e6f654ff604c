"""The table of additions in `CONTRIBUTING.md`, and how its paths are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
# What a path on the page begins with where it says no more.
OPERATOR = "operator/lockstep_operator"
_ROOMS = ("api/", "manifests/", "decide/", "runtime/")
_ROW = re.compile(
    r"^\| (an? [^|]+) \| ([^|]+) \| (\d+) \|([^|]*)\| `(additions/[^|]+)` \|$", re.MULTILINE
)


@dataclass(frozen=True)
class Row:
    """One addition, as the page tells it."""

    files: set[str]
    number: int
    beside: set[str]
    proof: str


def rows() -> dict[str, Row]:
    """By what is added."""
    return {
        what: Row(_paths(files), int(number), _paths(beside), proof)
        for what, files, number, beside, proof in _ROW.findall(PAGE)
    }


def whole(path: str) -> str:
    """The path from the root of the repository."""
    return f"{OPERATOR}/{path}" if path.startswith(_ROOMS) else path


def _paths(cell: str) -> set[str]:
    return {whole(path) for path in re.findall(r"`([^`]+)`", cell)}
