"""The act of drift: what is seen of the policy and of the new visitors, and the picture of it."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import yaml
from rich.console import Console

from examples.glyphs.demo import drift, page
from examples.glyphs.demo.curve import Curve, Point, draw, smoothed
from examples.glyphs.demo.searches import Answer, Glyphs, Hit
from examples.glyphs.demo.visits import Counts, Visitors
from lockstep_kubectl.api import Api

pytestmark = pytest.mark.unit

MANIFESTS = Path(drift.__file__).parents[1] / "manifests"
QUIET = {"state": "Quiet", "message": "query drift MMD 0.012", "value": "0.012"}
ASKED = {"id": "retrain-r2-7", "do": "Retrain"}
WAITS: dict[str, Any] = {"state": "WaitingForApproval", "message": "", "request": ASKED}


class Statuses:
    """An API server whose policy has these statuses, one look after the other."""

    def __init__(self, *statuses: dict[str, Any]) -> None:
        self.left = list(statuses)

    def get(self, path: str) -> dict[str, Any]:
        assert path.endswith("/namespaces/glyphs/driftpolicies/glyphs")
        status = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return {"status": status}


class NewVisitors:
    def __init__(self, *counts: Counts | None) -> None:
        self.left = list(counts)

    def counts(self) -> Counts | None:
        return self.left.pop(0) if self.left else None


def watch(statuses: Statuses, visitors: NewVisitors) -> drift.Watch:
    console = Console(file=io.StringIO(), width=200)
    return drift.Watch(cast(Api, statuses), console, cast(Visitors, visitors))


def told(seen: drift.Watch) -> str:
    return cast(io.StringIO, seen.console.file).getvalue()


def test_a_look_is_a_point_and_a_line_where_it_is_news() -> None:
    later = QUIET | {"message": "query drift MMD 0.009", "value": "0.009"}
    made = [{"state": "Acting", "message": f"r{number} is Training"} for number in (4, 5)]
    seen = watch(Statuses(QUIET, QUIET, later, *made), NewVisitors())
    for _ in range(5):
        seen.look()
    assert [(p.drift, p.tolerance, p.right, p.state) for p in seen.curve.points][:3] == [
        (0.012, None, None, "Quiet"),
        (0.012, None, None, "Quiet"),
        (0.009, None, None, "Quiet"),
    ]
    assert [line.strip() for line in told(seen).splitlines()] == [
        "Quiet: query drift MMD 0.012",
        "Acting: r4 is Training",
        "Acting: r5 is Training",
    ]


def test_right_answers_are_those_since_the_last_look() -> None:
    counts = (Counts({"r2": 10}, right=0), None, Counts({"r2": 20}, right=5))
    anew = Counts({"r4": 4}, right=4)
    seen = watch(Statuses(QUIET), NewVisitors(*counts, anew, anew))
    for _ in range(5):
        seen.look()
    assert [point.right for point in seen.curve.points] == [0.0, None, 0.5, 1.0, None]


def test_what_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(drift, "LOOK_SECONDS", 0.01)
    with pytest.raises(TimeoutError, match="a learned baseline did not come"):
        watch(Statuses(QUIET), NewVisitors()).until("a learned baseline", drift.is_waiting)


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        ({}, False),
        (QUIET, False),
        (WAITS, True),
        (WAITS | {"request": ASKED | {"approvedAt": "2026-01-01T00:00:00Z"}}, False),
        (WAITS | {"state": "Acting"}, False),
    ],
)
def test_a_person_is_asked_while_the_request_waits(status: dict[str, Any], waits: bool) -> None:
    assert drift.is_waiting(status) is waits


def test_the_curve_is_an_svg_with_a_stroke_for_each_stretch() -> None:
    rights = (None, 0.0, 0.1, None, 0.9, 1.0)
    points = [Point(float(at), at / 100, 0.03, right) for at, right in enumerate(rights)]
    curve = Curve([Point(-1.0, None, None, None), *points])
    curve.mark(2.0, "new <visitors>")
    found = ElementTree.fromstring(draw(curve))
    strokes = [line.get("class") for line in found.iter("polyline")]
    assert strokes == ["right", "drift", "bound"]
    assert "new <visitors>" in [text.text for text in found.iter("text")]
    assert curve.tells and not Curve([Point(0.0, None, None, None)]).tells


def test_right_answers_are_smoothed_over_the_last_seconds_alone() -> None:
    points = [Point(float(at), None, None, float(at >= 6)) for at in range(12)]
    shares = [share for _, share in smoothed(points, 3.0)]
    assert (shares[0], shares[6], shares[-1]) == (0.0, pytest.approx(1 / 3), 1.0)


def test_the_page_has_the_curve_where_drift_was_seen() -> None:
    drawings = np.zeros((2, 32, 32), dtype=np.uint8)
    glyphs = Glyphs(drawings, np.array(["a", "a"]), np.array(["a/1", "a/2"]))
    answers = [Answer(0, (Hit(1, "a", 0.1, True),), "glyphs-r4", "aaa", "aaa")]
    curve = Curve([Point(0.0, 0.01, 0.03, None), Point(1.0, 0.2, 0.03, 0.0)])
    assert "<svg" in page.render(glyphs, answers, curve)
    assert "<svg" not in page.render(glyphs, answers)
    assert "<svg" not in page.render(glyphs, answers, Curve())


@pytest.mark.parametrize("pod", ["visitors", "new-visitors"])
def test_a_manifest_of_visitors_has_the_name_of_their_pod(pod: str) -> None:
    assert yaml.safe_load((MANIFESTS / f"{pod}.yaml").read_text())["metadata"]["name"] == pod
