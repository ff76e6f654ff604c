"""Sketches of all pods of a release, merged by window as they come. Needs numpy.

Merged first and compared after: means of the pods' own distances would lose the signal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lockstep_core.drift.errors import DriftError, MismatchError
from lockstep_core.drift.sketch import Sketch, merge
from lockstep_core.drift.sketch_wire import sketch_from_wire
from lockstep_core.protocol.monitoring import TrafficRole

ByRole = dict[TrafficRole, Sketch]


class Gathering:
    """Windows that are not judged yet.

    A window is judged when every pod that is asked has told of it, and one window later whoever has
    not: so a pod may miss one question.
    """

    def __init__(self, start: int, roles: Iterable[TrafficRole]) -> None:
        self._start = start
        self._roles = frozenset(roles)
        self._told: dict[str, int] = {}
        self._windows: dict[int, ByRole] = {}
        # What was left out, in words for a status.
        self.note = ""

    def after(self, pod: str) -> int:
        """The last window that a pod, by its uid, has told of."""
        return max(self._start, self._told.get(pod, self._start))

    def add(self, pod: str, name: str, wires: Iterable[Any], told: int) -> int | None:
        """Takes what a pod told of the windows up to `told`. Returns the last window among them.

        A sketch that cannot be read, or is of other features than those of the other pods, is left
        out and named.
        """
        last = None
        for wire in wires:
            try:
                last = self._take(self.after(pod), sketch_from_wire(wire))
            except MismatchError as error:
                self.note = f"pod {name} is left out: {error}"
            except DriftError as error:
                self.note = f"a sketch of pod {name} is left out: {error}"
        self._told[pod] = max(self.after(pod), told)
        return last

    def _take(self, after: int, sketch: Sketch) -> int:
        window, role = sketch.span.first, TrafficRole(sketch.role)
        if window > after and sketch.span.windows == 1 and role in self._roles:
            known = self._windows.setdefault(window, {})
            known[role] = merge(known[role], sketch) if role in known else sketch
        return window

    def ready(self, closed: int, pods: Iterable[str]) -> list[tuple[int, ByRole]]:
        """Windows that may be judged now, in their order, the last of which is always the last that
        is whole: one in which nothing came is judged too."""
        whole = closed if all(self.after(pod) >= closed for pod in pods) else closed - 1
        if whole <= self._start:
            return []
        numbers = sorted(number for number in self._windows if number <= whole)
        found = [(number, self._windows.pop(number)) for number in numbers]
        if not numbers or numbers[-1] < whole:
            found.append((whole, {}))
        self._start = whole
        return found
