"""A canary at its analysis step, and the series that the runtime would hold. Nothing is a test."""

from __future__ import annotations

import dataclasses
from typing import Any

from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.gates.analysis import Analysis, analyse
from lockstep_operator.decide.snapshot.measurements import (
    Measurement,
    MeasureRequest,
    Reading,
    Series,
    SeriesKey,
)
from lockstep_operator.decide.snapshot.snapshot import read
from tests.unit.decide import worlds


class Lab:
    """A canary at its analysis step, and the series that the runtime would hold."""

    def __init__(self, *gates: Any) -> None:
        names = [gate["name"] for gate in gates]
        steps = [{"setWeight": 25}, {"analysis": {"gates": names}}, {"pause": {}}]
        self.world = worlds.canary(steps, at=1, gates=[worlds.GATE, *gates])
        self.names = names
        self.series: dict[SeriesKey, Series] = {}
        self.asked: list[MeasureRequest] = []
        self.wake: float | None = None

    def pod(self, name: str, *, ready: bool = True, release: str = "glyphs-r2") -> Lab:
        raw = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {
                    "lockstep.dev/model": "glyphs",
                    "lockstep.dev/release": release,
                    "lockstep.dev/component": "encoder",
                },
            },
            "spec": {"containers": []},
            "status": {
                "podIP": "10.0.0.7",
                "conditions": [{"type": "Ready", "status": str(ready)}],
            },
        }
        self.world.create(raw)
        return self

    def context(self) -> ReconcileContext:
        observed = dataclasses.replace(self.world.observed(), measurements=self.series)
        return ReconcileContext(read(observed, self.world.settings, self.world.now))

    def analysed(self, context: ReconcileContext) -> Analysis:
        release = context.release("glyphs-r2")
        assert release.status.step is not None
        return analyse(context, release, self.names, release.status.step)

    def look(self) -> Analysis:
        context = self.context()
        found = self.analysed(context)
        self.asked, self.wake = list(context.measure), context.look_again_after
        self.created = context.create
        # Looking again asks for the same and says the same.
        again = self.context()
        assert self.analysed(again) == found
        assert again.measure == context.measure
        return found

    def request(self, name: str) -> MeasureRequest:
        (found,) = (r for r in self.asked if r.series.gate.startswith(f"{name}-"))
        return found

    def answer(self, name: str, reading: Reading) -> None:
        request = self.request(name)
        assert request.is_due and request.number == len(self.series.get(request.series, ()))
        before = self.series.get(request.series, ())
        self.series = self.series | {
            request.series: (*before, Measurement(self.world.now, reading))
        }

    def play(self, name: str, *readings: Reading) -> Analysis:
        """One reading per interval; the look after the last one."""
        for reading in readings:
            found = self.look()
            assert found.verdict is None
            self.world.pass_time(self.request(name).due_in)
            self.look()
            self.answer(name, reading)
        return self.look()
