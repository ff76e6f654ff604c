"""No program of ours lets a library report to its vendor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.unit, pytest.mark.programs]


@pytest.mark.parametrize("module", ["lockstep_core.encoding", "lockstep_encoder.serve"])
def test_onnxruntime_keeps_no_device_identifier(module: str, tmp_path: Path) -> None:
    """onnxruntime writes one under HOME as soon as its telemetry starts."""
    environment = {name: os.environ[name] for name in ("PATH",)} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", f"import {module}"], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []
