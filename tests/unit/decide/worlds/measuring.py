"""The measurements that a plan asks for, made when they are due."""

from __future__ import annotations

from lockstep_operator.decide.snapshot.measurements import Measurement, Tally
from tests.unit.decide.worlds.state import State
from tests.unit.tallies import tally_of


class Measuring(State):
    """Pods that are scraped, as the runtime would do it."""

    def measure(self, failed: int = 0) -> None:
        """What is due is scraped: of each thousand requests so many failed."""
        for request in self.plan.measure:
            series = self.measurements.get(request.series, ())
            if not request.is_due or request.number != len(series):
                continue
            counted = tally_of({"200": 1000 - failed, "500": failed}, {0.1: 1000}, 1000)
            reading = counted if series else Tally()
            self.measurements[request.series] = (*series, Measurement(self.now, reading))
            self._serial += 1
