"""How a container of a pod ended, as the pod's status tells it: exit code, reason, last line.

Operator and plugin show a crash in the same words. Nothing here changes from one look to the next
while the container goes on crashing, so a status that holds it is not written anew: the kubelet's
own word alternates between waiting, running and terminated, and restarts are not counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from lockstep_core.protocol.result import Result

MAIN = "main"
"""The container of the program that a pod is there for."""
CRASH_LOOP = "CrashLoopBackOff"
LINE_LIMIT = 300
# A pod that turned unready so long after its container began had been ready: that crash is history.
_SETTLED = timedelta(seconds=10)

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Crash:
    """A container that ended by itself and does not answer. `line` is the last thing it said.

    `reason` is the program's own word, else the kubelet's (`OOMKilled`), else None. `loops`: it was
    started again more than once.
    """

    pod: str
    container: str
    exit_code: int
    reason: str | None
    line: str
    loops: bool
    restarted: bool

    def sentence(self) -> str:
        """`pod x crashes (CrashLoopBackOff), exit code 3 (BadConfig): no such file`."""
        verb = f"crashes ({CRASH_LOOP})" if self.loops else "crashed"
        where = "" if self.container == MAIN else f" in container {self.container}"
        return f"pod {self.pod} {verb}{where}, {self.what()}"

    def what(self) -> str:
        """`exit code 3 (BadConfig): no such file`."""
        why = f" ({self.reason})" if self.reason else ""
        said = f": {self.line}" if self.line else ""
        return f"exit code {self.exit_code}{why}{said}"


def crash_of(pod: Raw) -> Crash | None:
    """The first container of a pod that crashed and is not ready since; None while all answer.

    `pod` is a Pod as the API server gives it. An init container that ended well is no crash.
    """
    status = pod.get("status") or {}
    name = str(pod["metadata"]["name"])
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field) or ():
            found = None if _was_ready_since(status, container) else _crash(name, container)
            if found is not None:
                return found
    return None


def last_line(text: str) -> str:
    """The last line of a termination message that says something, at most `LINE_LIMIT` characters.

    Of a line of our own logs (JSON) the message, without its time.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = _message_of(lines[-1]) if lines else ""
    said = " ".join(said.split())
    return said if len(said) <= LINE_LIMIT else f"{said[: LINE_LIMIT - 3]}..."


def _was_ready_since(status: Raw, container: Raw) -> bool:
    """Whether the pod was ready after this container was started last, and is not any more."""
    begun = ((container.get("state") or {}).get("running") or {}).get("startedAt")
    for condition in status.get("conditions") or ():
        turned = condition.get("lastTransitionTime")
        if condition.get("type") == "Ready" and begun and turned:
            return datetime.fromisoformat(turned) > datetime.fromisoformat(begun) + _SETTLED
    return False


def _crash(pod: str, container: Raw) -> Crash | None:
    state, last = container.get("state") or {}, container.get("lastState") or {}
    ended = state.get("terminated")
    if container.get("ready") or (ended is not None and not ended.get("exitCode")):
        return None
    ended = ended or last.get("terminated")
    if ended is None:
        return None
    restarts = int(container.get("restartCount") or 0)
    waits = (state.get("waiting") or {}).get("reason") == CRASH_LOOP
    reason, line = _told(ended)
    return Crash(
        pod=pod,
        container=str(container.get("name", MAIN)),
        exit_code=int(ended.get("exitCode") or 0),
        reason=reason,
        line=line.rstrip("."),
        loops=waits or restarts > 1,
        restarted=restarts > 0,
    )


def _told(ended: Raw) -> tuple[str | None, str]:
    """The reason and the last line; the kubelet's `Error` and `Completed` say nothing more."""
    text, word = str(ended.get("message") or "").strip(), ended.get("reason")
    kubelets = None if word in (None, "Error", "Completed") else str(word)
    try:
        result = Result.from_json(text)
    except ValidationError:
        return kubelets, last_line(text)
    return result.reason, last_line(result.message)


def _message_of(line: str) -> str:
    """Of a line of our own logs the last line of its traceback, else its message."""
    try:
        logged = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(logged, dict) or not isinstance(logged.get("message"), str):
        return line
    said = f"{logged['message']}\n{logged.get('traceback') or ''}".strip()
    return said.rpartition("\n")[2]
