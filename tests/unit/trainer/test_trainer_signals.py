"""SIGUSR1 saves, SIGTERM saves and ends: the real program, heard by its own handlers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lockstep_core.protocol.result import Result

pytestmark = [pytest.mark.unit, pytest.mark.programs]


def test_sigusr1_saves_and_sigterm_saves_and_ends_as_preempted(tmp_path, wire, store_root):
    wire["training"]["budget"]["maxSteps"] = 1_000_000
    folder = store_root / "checkpoints" / "uid-1"
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep_trainer", "run"],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "LOCKSTEP_TERMINATION_PATH": str(tmp_path / "termination"),
            "LOCKSTEP_CONFIG": json.dumps(wire),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if '"phase": "Training"' in line:
                break
        process.send_signal(signal.SIGUSR1)
        while process.poll() is None and not list(folder.glob("*.safetensors")):
            time.sleep(0.01)
        asked_for = {file.name for file in folder.glob("*.safetensors")}
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 75
    result = Result.from_json(out.strip())
    assert result.reason == "Preempted"
    assert Result.from_json((tmp_path / "termination").read_text()) == result
    newest = max(file.name for file in folder.glob("*.safetensors"))
    step = int(newest.partition("-")[0])
    assert f"stopped before step {step + 1} of 1000000; the work is kept" in result.message
    assert f"goes on from its checkpoint of step {step}" in result.message
    # Stopped before another step, it has nothing to add to what was saved on demand.
    (saved,) = asked_for
    assert int(saved.partition("-")[0]) <= step
    assert not (store_root / "manifests").exists()


def test_a_validation_ends_at_once_and_as_preempted(tmp_path):
    """As PID 1 it would not hear SIGTERM without a handler of its own."""
    pipe = tmp_path / "config"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep_trainer", "validate", "--config", str(pipe)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # It has come as far as to read its config once somebody may write to the pipe.
        with pipe.open("w"):
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 75
    finally:
        process.kill()
