"""The times of the Lease, and the end of a process that lost it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep_core.protocol.environment import TERMINATION_LIMIT, TERMINATION_PATH_VARIABLE
from lockstep_operator.runtime import termination
from lockstep_operator.runtime.leader import LeaseTimes, _stacks

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("duration", [3.0, 15.0, 60.0])
def test_every_write_ends_before_another_may_lead(duration: float) -> None:
    times = LeaseTimes(duration)
    assert times.write_window + times.write_timeout <= duration
    assert times.renew_every < times.write_window < times.renew_deadline < duration
    assert times.poll_every <= 1.0


def test_a_lost_lease_ends_with_its_reason_and_no_traceback(tmp_path: Path) -> None:
    message = tmp_path / "termination-log"
    program = (
        "from lockstep_operator.runtime import leader, logging\n"
        "logging.configure(level='info', style='text')\n"
        "leader.exit_at_once('operator-b_1 holds the Lease')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, TERMINATION_PATH_VARIABLE: str(message)},
    )
    assert done.returncode == 1
    assert message.read_text() == "no longer the leader: operator-b_1 holds the Lease"
    assert done.stdout.splitlines()[-1].endswith("why=operator-b_1 holds the Lease")
    assert done.stderr == ""


def test_a_termination_message_is_one_line_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "termination-log"
    monkeypatch.setenv(TERMINATION_PATH_VARIABLE, str(path))
    termination.write("watching failed:\n  " + "é" * TERMINATION_LIMIT)
    text = path.read_text()
    assert text.startswith("watching failed: é") and "\n" not in text
    assert TERMINATION_LIMIT - 2 < len(text.encode()) <= TERMINATION_LIMIT


def test_an_end_without_a_place_for_its_message_is_still_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TERMINATION_PATH_VARIABLE, str(tmp_path))
    termination.write("watching failed")


def test_the_stacks_of_a_stall_name_the_function_that_holds_it() -> None:
    assert "MainThread" in _stacks()
    assert test_the_stacks_of_a_stall_name_the_function_that_holds_it.__name__ in _stacks()
