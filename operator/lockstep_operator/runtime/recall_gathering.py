"""Index recall of all pods of a release, over the last windows. It is counted by the pods.

What was told stands until it is older than the span, also of a pod that is gone. So nothing is
stored: after a restart the pods tell it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from lockstep_core.protocol.drift import RecallBound, RecallReport
from lockstep_core.protocol.monitoring import KEPT_WINDOWS
from lockstep_core.protocol.recall import RecallAnswer, RecallWindow
from lockstep_core.quality.live_recall import judge
from lockstep_operator.decide.snapshot.drift import DriftWatch
from lockstep_operator.decide.snapshot.measurements import Target
from lockstep_operator.runtime.monitors import Expected, Monitors
from lockstep_operator.runtime.probing import ProbeError


@dataclass(frozen=True)
class Recalls:
    """A report of each index; `note` says why a pod told nothing."""

    reports: tuple[RecallReport, ...] = ()
    note: str = ""


class RecallGathering:
    """Of one policy."""

    def __init__(self) -> None:
        self._identity: tuple[str, int] | None = None
        self._told: dict[tuple[str, int, str], RecallWindow] = {}

    async def look(
        self, monitors: Monitors, watch: DriftWatch, pods: Sequence[Target], closed: int
    ) -> Recalls:
        """Asks `pods` for what they closed up to the window `closed`. Nothing where the policy has
        no bound."""
        bound, parameters = watch.parameters.recall, watch.parameters
        if bound is None:
            return Recalls()
        identity = (parameters.release, parameters.window_seconds)
        if self._identity != identity:
            self._identity, self._told = identity, {}
        after = max(watch.first_window - 1, closed - min(bound.windows, KEPT_WINDOWS))
        expected = Expected(parameters.release, watch.space, parameters.window_seconds)
        found = await asyncio.gather(
            *(self._ask(monitors, target, after, expected) for target in pods)
        )
        problems = list[str]()
        for target, answer in zip(pods, found, strict=True):
            if isinstance(answer, ProbeError):
                problems.append(str(answer))
                continue
            self._take(target, answer, bound, closed)
            problems += [answer.problem] if answer.problem else []
        self._told = {key: one for key, one in self._told.items() if one.window > after}
        note = f"index recall: {min(problems)}" if problems else ""
        return Recalls(judge(self._told.values(), bound), note)

    @staticmethod
    async def _ask(
        monitors: Monitors, target: Target, after: int, expected: Expected
    ) -> RecallAnswer | ProbeError:
        try:
            return await monitors.recall(target, after, expected)
        except ProbeError as error:
            return error

    def _take(self, target: Target, answer: RecallAnswer, bound: RecallBound, closed: int) -> None:
        for one in answer.windows:
            if one.window <= closed and one.k == bound.k:
                self._told[target.uid, one.window, one.index] = one
