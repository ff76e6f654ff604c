"""Sketches of all pods of a release, merged by window as they come. Needs numpy.

Merged first and compared after: means of the pods' own distances would lose the signal.
"""

from __future__ import annotations

from collections.abc import Iterable

from lockstep_core.drift.errors import DriftError, MismatchError
from lockstep_core.drift.sketch import Sketch, merge, same_kind
from lockstep_core.drift.sketch_wire import sketch_from_wire
from lockstep_core.protocol.monitoring import TrafficRole
from lockstep_operator.runtime.drift_pages import Told

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

    def add(self, told: Told, digest: str | None) -> None:
        """Takes what a pod told. A sketch that cannot be read, or is of other features than
        `digest`, is left out and named."""
        uid, name = told.target.uid, told.target.pod
        for wire in told.wires:
            try:
                sketch = sketch_from_wire(wire)
                if digest is not None:
                    same_kind(sketch.features_digest, digest)
                self._take(self.after(uid), sketch)
            except MismatchError as error:
                self.note = f"pod {name} is left out: {error}"
            except DriftError as error:
                self.note = f"a sketch of pod {name} is left out: {error}"
        self._told[uid] = max(self.after(uid), told.until)

    def _take(self, after: int, sketch: Sketch) -> None:
        window, role = sketch.span.first, TrafficRole(sketch.role)
        if window > after and sketch.span.windows == 1 and role in self._roles:
            known = self._windows.setdefault(window, {})
            known[role] = merge(known[role], sketch) if role in known else sketch

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
