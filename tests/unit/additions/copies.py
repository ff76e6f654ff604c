"""Copies of the sources, in which a toy is written and tried."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.unit.additions.edits import Addition

ROOT = Path(__file__).parents[3]
PACKAGES = ("core", "operator", "encoder-image", "indexer-image")
# What the tests that a toy has to satisfy read beside the packages.
BESIDE = ("charts", "crds", "docs", "tests/unit", "Makefile", "pyproject.toml")
PROGRAMS = ("trainer-image", "monitor-image", "kubectl-lockstep")


def copy_with(addition: Addition, folder: Path) -> Path:
    """The sources with the toy in them. Raises ValueError where an anchor is not there once."""
    for name in (*PACKAGES, *PROGRAMS, *BESIDE):
        source, target = ROOT / name, folder / name
        if source.is_file():
            shutil.copy2(source, target)
        else:
            shutil.copytree(source, target)
    for change in addition.all():
        change.apply(folder)
    return folder


def check(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Runs the checks of this toy in the copy, against the packages of the copy."""
    packages = [str(folder / part) for part in ("", *PACKAGES, *PROGRAMS)]
    environment = {
        # Coverage of a copy is nobody's, and its run is no part of this one.
        **{k: v for k, v in os.environ.items() if not k.startswith(("COV", "PYTEST"))},
        "PYTHONPATH": os.pathsep.join(packages),
        "OMP_NUM_THREADS": "1",
    }
    tests = f"tests/unit/additions/checks/{name}.py"
    command = [sys.executable, "-m", "pytest", tests, "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )
