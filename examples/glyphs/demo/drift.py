"""The act of drift: visitors draw another script, the policy says so, a person has it learned.

Every step is read from the cluster, so that the demo goes on where an earlier run ended.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from examples.glyphs.demo import story
from examples.glyphs.demo.cluster import MODEL, NAMESPACE, Cluster, get
from examples.glyphs.demo.curve import Curve, Point, smoothed
from examples.glyphs.demo.visits import Counts, Visitors
from lockstep_kubectl.api import Api, ApiError, Object, own_path

MANIFESTS = Path(__file__).parents[1] / "manifests"
POLICY, JOB = "glyphs", "glyphs-more-drawings"
JOB_PATH = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{JOB}"
LOOK_SECONDS, PATIENCE_SECONDS = 1.0, 600.0

ANSWERED, LAST_SECONDS = 0.8, 6.0


@dataclass
class Watch:
    """What was seen of the policy and of the new visitors, and the pictures drawn from it."""

    api: Api
    console: Console
    visitors: Visitors
    curve: Curve = field(default_factory=Curve)
    before: Counts = field(default_factory=Counts)
    shown: str = ""

    def look(self) -> Object:
        """The policy's status now; a point of the curve, and a line where it is news."""
        policy = get(self.api, own_path("driftpolicies", NAMESPACE, POLICY)) or {}
        status = dict(policy.get("status") or {})
        self.curve.add(_point(status, self._right(), time.monotonic()))
        told = f"{status.get('state', 'Pending')}: {status.get('message', '')}"
        if _words(told) != self.shown:
            self.shown = _words(told)
            self.console.print(f"   {told}", markup=False, soft_wrap=True)
        return status

    def until(self, what: str, holds: Callable[[Object], bool]) -> Object:
        """Looks until it holds. Raises TimeoutError that says what did not come."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            status = self.look()
            if holds(status):
                return status
            time.sleep(LOOK_SECONDS)
        raise TimeoutError(
            f"{what} did not come within {PATIENCE_SECONDS:.0f} s:"
            f" kubectl describe driftpolicy {POLICY} -n {NAMESPACE}"
        )

    def _right(self) -> float | None:
        """Share of the new visitors' answers since the last look that were right."""
        counts = self.visitors.counts()
        if counts is None:
            return None
        before = self.before if self.before.total <= counts.total else Counts()
        asked, right = counts.total - before.total, counts.right - before.right
        if asked <= 0:
            return None
        self.before = counts
        return right / asked


def _words(told: str) -> str:
    """What is said apart from the numbers, which are others with each window. Names of releases
    stay."""
    return re.sub(r"(?<![a-z])[-+]?[0-9][0-9.^]*", "", told)


def _point(status: Object, right: float | None, now: float) -> Point:
    def number(field: str) -> float | None:
        return None if status.get(field) is None else float(status[field])

    return Point(now, number("value"), number("tolerance"), right, status.get("state") or "")


def begin(cluster: Cluster, console: Console) -> None:
    """Applies the policy: its baseline is learned while the demo goes on."""
    path = MANIFESTS / "drift.yaml"
    console.print(f"\n== A policy watches what visitors draw\nkubectl apply -f {_shown(path)}")
    cluster.kubectl("apply", "-f", str(path))


def take_back(cluster: Cluster, console: Console) -> None:
    """The spec asks again for what serves: nothing is trained for it."""
    change = ("-n", NAMESPACE, "patch", "em", MODEL, "--type=merge", "-p", story.WAY_OUT)
    console.print("\n== The bad change is taken back: the spec is what serves again")
    cluster.kubectl(*change)


def drifts(cluster: Cluster, watch: Watch, console: Console) -> Object:
    """New visitors come, until the policy waits for a person. Returns its request."""
    watch.until("a learned baseline", lambda status: status.get("state") in _LEARNED)
    if not is_waiting(watch.look()):
        console.print("\n== New visitors draw kana, which no release was trained on")
        watch.curve.mark(time.monotonic(), "new visitors")
        watch.visitors.come()
    status = watch.until("drift that waits for a person", is_waiting)
    watch.curve.mark(time.monotonic(), "drift")
    console.print(_table(cluster), markup=False, soft_wrap=True)
    return dict(status["request"])


def learn(cluster: Cluster, watch: Watch, request: Object, console: Console) -> None:
    """Their drawings join the data set, and a person approves the training."""
    console.print("\n== Their drawings join the data set, and a person approves the training")
    cluster.kubectl("apply", "-f", str(MANIFESTS / "more-drawings.yaml"))
    wait = ("wait", "-n", NAMESPACE, "--for=condition=Complete", "--timeout=3m")
    cluster.kubectl(*wait, f"job/{JOB}")
    target = ("-n", NAMESPACE, "annotate", f"driftpolicy/{POLICY}", "--overwrite")
    approval = f"lockstep.dev/approve={request['id']}"
    console.print(f"kubectl {' '.join(target)} {approval}", markup=False, soft_wrap=True)
    cluster.kubectl(*target, approval)
    watch.curve.mark(time.monotonic(), "approved")
    watch.until("the release that drift asks for", _is_made)


def come_back(watch: Watch) -> str:
    """Looks until the new visitors find what they draw. Raises TimeoutError where they do not."""
    watch.curve.mark(time.monotonic(), "r4 serves")
    begun = time.monotonic()

    def found(_status: Object) -> bool:
        recent = smoothed(watch.curve.points, LAST_SECONDS)[-1][1]
        waited = time.monotonic() - begun >= LAST_SECONDS
        return waited and recent is not None and recent >= ANSWERED

    watch.until(f"{ANSWERED:.0%} right answers for the new visitors", found)
    recent = smoothed(watch.curve.points, LAST_SECONDS)[-1][1]
    return f"{recent:.0%} of the new visitors' searches find the character that they draw."


_LEARNED = ("Quiet", "Drifting", "WaitingForApproval", "Acting")


def is_waiting(status: Object) -> bool:
    """Whether a person is asked to approve."""
    request = status.get("request") or {}
    return status.get("state") == "WaitingForApproval" and "approvedAt" not in request


def _is_made(status: Object) -> bool:
    actions: list[dict[str, Any]] = status.get("actions") or []
    return bool(actions) and actions[0].get("release") is not None


def is_over(api: Api) -> bool:
    """Whether the drawings of the new visitors were added in an earlier run."""
    try:
        api.get(JOB_PATH)
    except ApiError:
        return False
    return True


def _table(cluster: Cluster) -> str:
    lines = cluster.kubectl("get", "drift", "-n", NAMESPACE).decode()
    return f"\n$ kubectl get drift -n {NAMESPACE}\n{lines}"


def _shown(path: Path) -> str:
    return str(path.relative_to(MANIFESTS.parents[2]))
