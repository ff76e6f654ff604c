"""How a container ended, in the words that operator and plugin share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lockstep_core.protocol.crashes import LINE_LIMIT, crash_of, last_line

pytestmark = pytest.mark.unit

RESULT = json.dumps(
    {
        "schema": "lockstep.dev/result/v1",
        "program": "ServeIndex",
        "exitCode": 6,
        "reason": "DigestMismatch",
        "message": "index.faiss is not what its manifest says.",
    }
)
LOGGED = json.dumps({"time": "2026-01-31T12:00:00.123Z", "level": "error", "message": "no room"})
TRACED = json.dumps({"message": "died", "traceback": "Traceback:\n  File x\nValueError: a < b"})


def pod(field: str = "containerStatuses", conditions: Any = (), **container: Any) -> dict[str, Any]:
    found = {"name": "main", **container}
    return {"metadata": {"name": "p"}, "status": {field: [found], "conditions": list(conditions)}}


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": message, "reason": reason}}


WAITS = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}}
RUNS = {"running": {"startedAt": "2026-01-31T12:00:00Z"}}
SAID = [
    (
        pod(state=WAITS, lastState=ended(6, RESULT), restartCount=4),
        "pod p crashes (CrashLoopBackOff), exit code 6 (DigestMismatch):"
        " index.faiss is not what its manifest says",
    ),
    # Started again for the fifth time: the same words, as the status would be written anew.
    (
        pod(state=RUNS, lastState=ended(6, RESULT), restartCount=5),
        "pod p crashes (CrashLoopBackOff), exit code 6 (DigestMismatch):"
        " index.faiss is not what its manifest says",
    ),
    (
        pod(state=ended(1, "loading\nOSError: no file\n\n")),
        "pod p crashed, exit code 1: OSError: no file",
    ),
    (
        pod(state=RUNS, lastState=ended(137, reason="OOMKilled"), restartCount=1),
        "pod p crashed, exit code 137 (OOMKilled)",
    ),
    (
        pod(name="monitor", state=WAITS, lastState=ended(2, "bad flag")),
        "pod p crashes (CrashLoopBackOff) in container monitor, exit code 2: bad flag",
    ),
    (
        pod("initContainerStatuses", name="validate", state=ended(3)),
        "pod p crashed in container validate, exit code 3",
    ),
    # It had ended well, and a server must not end.
    (
        pod(state=WAITS, lastState=ended(0, "bye", "Completed"), restartCount=2),
        "pod p crashes (CrashLoopBackOff), exit code 0: bye",
    ),
]


@pytest.mark.parametrize(("found", "sentence"), SAID)
def test_a_crash_in_words(found: dict[str, Any], sentence: str) -> None:
    crash = crash_of(found)
    assert crash is not None and crash.sentence() == sentence


def ready(at: str) -> list[dict[str, str]]:
    return [{"type": "Ready", "status": "False", "lastTransitionTime": at}]


@pytest.mark.parametrize(
    "found",
    [
        {"metadata": {"name": "p"}},
        pod(ready=True, state=RUNS, lastState=ended(1)),
        pod(state=RUNS),
        pod("initContainerStatuses", name="validate", state=ended(0)),
        # It served for ten minutes after that crash.
        pod(conditions=ready("2026-01-31T12:10:00Z"), state=RUNS, lastState=ended(1)),
    ],
)
def test_no_crash(found: dict[str, Any]) -> None:
    assert crash_of(found) is None


def test_a_pod_that_was_not_ready_since_its_crash_says_so() -> None:
    found = pod(conditions=ready("2026-01-31T12:00:01Z"), state=RUNS, lastState=ended(1))
    assert crash_of(found) is not None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        (" \n ", ""),
        ("a\nb  c\n", "b c"),
        (LOGGED, "no room"),
        (f"first\n{TRACED}", "ValueError: a < b"),
        ('{"message": 3}', '{"message": 3}'),
        ("[" * 20000, "[" * (LINE_LIMIT - 3) + "..."),
        ("x" * 999, "x" * (LINE_LIMIT - 3) + "..."),
    ],
)
def test_the_last_line(text: str, line: str) -> None:
    assert last_line(text) == line
