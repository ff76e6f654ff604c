"""When monitors are asked, for which windows, and what is said while a window is open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lockstep_core.protocol.drift import Embedded, Shape
from lockstep_core.quality.verdicts import Verdict
from lockstep_operator.decide.gates.sketches import GRACE_SECONDS
from lockstep_operator.decide.snapshot.measurements import (
    Sketch,
    Sketched,
    Unmeasured,
    Unwatchable,
)
from tests.unit.decide.gates.lab import Lab

pytestmark = pytest.mark.unit

GATE = {"name": "shape", "type": "Geometry", "maxLoss": "0.05", "minSamples": 1000}
SECONDS = 300


class Monitored(Lab):
    """A canary whose releases were made with the monitor's image, or one of them."""

    def __init__(self, *gates: Any, images: tuple[str, ...] = ("r1", "r2")) -> None:
        super().__init__(*gates)
        for short in ("r1", "r2"):
            release = self.world.objects["EmbeddingRelease", f"glyphs-{short}"]
            release["spec"]["images"].pop("monitor", None)
            if short in images:
                release["spec"]["images"]["monitor"] = "monitor:1"
        self.pod("a").pod("b").pod("s", release="glyphs-r1")

    @property
    def sketch(self) -> Sketch:
        what = self.request("shape").what
        assert isinstance(what, Sketch)
        return what

    @property
    def began(self) -> float:
        return float(self.world.now.timestamp())


def embedded(windows: int = 1, ratio: float = 20.0) -> Sketched:
    def of(release: str, value: float) -> Embedded:
        shapes = {"participationRatio": Shape(value, 20.0, 0.02 / windows)}
        return Embedded(release, 2000, 2000, shapes=shapes)

    return Sketched(of("glyphs-r2", ratio), windows, SECONDS, of("glyphs-r1", 20.0))


def test_the_first_whole_window_is_waited_for_and_asked_of_both_releases() -> None:
    lab = Monitored(GATE)
    first = int(lab.began // SECONDS) + 1
    found = lab.look()
    assert found.verdict is None
    assert found.message.startswith("shape: waits for the window that ends at 2026-01-31T1")
    due = (first + 1) * SECONDS + GRACE_SECONDS - lab.began
    assert (lab.request("shape").due_in, lab.wake) == (due, due)
    lab.world.pass_time(due)
    assert lab.look().message == ""
    assert lab.request("shape").is_due
    what = lab.sketch
    assert (what.first, what.last, what.window_seconds, what.alone) == (first, first, SECONDS, "")
    assert [one.pod for one in what.own.targets] == ["a", "b"]
    assert what.own.targets[0].url == "http://10.0.0.7:9102"
    assert what.stable is not None and [one.pod for one in what.stable.targets] == ["s"]
    assert what.own.space and what.stable.space != what.own.space


def test_each_look_is_over_all_windows_so_far() -> None:
    lab = Monitored(GATE)
    found = lab.play("shape", embedded(1, 19.5))
    assert found.verdict is None and "waits for the window that ends at" in found.message
    assert lab.request("shape").due_in == SECONDS
    lab.world.pass_time(SECONDS)
    lab.look()
    assert (lab.request("shape").number, lab.sketch.last - lab.sketch.first) == (1, 1)
    lab.answer("shape", embedded(4))
    assert lab.look().verdict is Verdict.PASS


def test_a_loss_beyond_stable_fails_the_analysis() -> None:
    found = Monitored(GATE).play("shape", embedded(1, 10.0))
    assert found.verdict is Verdict.FAIL and "lost 50% beyond r1" in found.message


def test_a_pod_that_was_not_read_is_asked_again_after_an_interval() -> None:
    lab = Monitored(GATE)
    lab.play("shape", Unmeasured("the monitor of pod a answered 500"))
    assert lab.request("shape").due_in == 10
    found = lab.play("shape", *[Unmeasured("the monitor of pod a answered 500")] * 4)
    assert (
        found.verdict is Verdict.INCONCLUSIVE and "not measured 5 times in a row" in found.message
    )


def test_what_cannot_be_watched_settles_at_once_and_never_passes() -> None:
    found = Monitored(GATE).play("shape", Unwatchable("no baseline"))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "not measured: no baseline" in found.message
    lab = Monitored(GATE, images=("r1",))
    found = lab.look()
    assert found.verdict is Verdict.INCONCLUSIVE and not lab.asked
    assert "r2 was made without the monitor's image" in found.message


def test_a_stable_release_without_monitors_leaves_it_alone() -> None:
    lab = Monitored(GATE, images=("r2",))
    lab.look()
    assert lab.sketch.stable is None
    assert "r1 was made without the monitor's image" in lab.sketch.alone
    alone = replace(embedded(4, 10.0), stable=None, alone=lab.sketch.alone)
    found = lab.play("shape", *[alone] * 4)
    assert found.verdict is Verdict.INCONCLUSIVE
