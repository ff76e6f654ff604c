"""Helm, both majors, on our chart."""

from __future__ import annotations

import functools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "lockstep"


@dataclass(frozen=True)
class Helm:
    """One Helm binary."""

    major: int
    path: Path

    @classmethod
    def find(cls, major: int) -> Helm:
        """Fetched by devcluster when it is not there yet."""
        done = subprocess.run(
            [sys.executable, "-m", "devcluster", "helm-path", "--major", str(major)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return cls(major, Path(done.stdout.strip()))

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([self.path, *arguments], capture_output=True, text=True, timeout=120)
        if check:
            assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}"
        return done

    def render(self, *values: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`helm template lockstep`, in namespace lockstep-system; `values` go to --set."""
        settings = [word for value in values for word in ("--set", value)]
        return self.run(
            "template", "lockstep", str(CHART), "-n", "lockstep-system", *settings, check=check
        )

    @functools.cache  # noqa: B019  (two of them live as long as the session)
    def objects(self, *values: str) -> list[dict[str, Any]]:
        """The rendered objects; not to be changed."""
        loaded = yaml.load_all(self.render(*values).stdout, yaml.CSafeLoader)
        return [found for found in loaded if found]
