"""HTTP questions to the monitors beside encoders: sketches, the held-out baseline, and bets.

As all probes these have a timeout and a limit on what is read, and fail by a `ProbeError` whose
words stay the same while the cause does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from lockstep_core.protocol.monitoring import (
    BASELINE_PAGE,
    BETS_PAGE,
    NO_FEATURES,
    SKETCH_PAGE,
    SketchesAnswer,
)
from lockstep_core.protocol.recall import RECALL_PAGE, RecallAnswer
from lockstep_operator.decide.snapshot.measurements import Target
from lockstep_operator.runtime.probing import MAX_WORDS, ProbeError, Prober

A = TypeVar("A", SketchesAnswer, RecallAnswer)

MAX_BYTES = 8 * 1024 * 1024
"""Of an answer: 32 sketches of 16,384 numbers take 6 MiB."""


class NothingToWatch(ProbeError):
    """The monitor answers, and has nothing to watch with: that does not pass by itself."""


@dataclass(frozen=True)
class Expected:
    """Who must answer: an address may be another pod's by now."""

    release: str
    space: str
    window_seconds: int


class Monitors(Prober):
    """One connection pool to all monitors. Close it at the end."""

    def __init__(self, *, timeout: float = 5.0, limit: int = MAX_BYTES) -> None:
        super().__init__(timeout=timeout, limit=limit)

    async def sketches(self, target: Target, after: int, expected: Expected) -> SketchesAnswer:
        """Closed windows with a number above `after`, at most 16, the oldest first."""
        who = _who(target)
        status, body = await self._ask("GET", f"{target.url}{SKETCH_PAGE}?after={after}", who)
        answer = _read(SketchesAnswer, status, body, f"{who} gave no sketches", who)
        _check_space(answer, expected, who)
        if answer.features_digest is None:
            raise NothingToWatch(NO_FEATURES)
        _check_windows(answer, expected, who)
        return answer

    async def recall(self, target: Target, after: int, expected: Expected) -> RecallAnswer:
        """Index recall of the closed windows with a number above `after`."""
        who = _who(target)
        status, body = await self._ask("GET", f"{target.url}{RECALL_PAGE}?after={after}", who)
        if status == 404:
            raise NothingToWatch(f"{who} is of an image that does not measure it")
        answer = _read(RecallAnswer, status, body, f"{who} gave no recall", who)
        _check_space(answer, expected, who)
        _check_windows(answer, expected, who)
        return answer

    async def baseline(self, target: Target) -> Any:
        """The held-out baseline of the artifact, as JSON. Raises NothingToWatch where it has
        none, in the monitor's words."""
        who = _who(target)
        status, body = await self._ask("GET", f"{target.url}{BASELINE_PAGE}", who)
        if status == 404:
            raise NothingToWatch(body.decode(errors="replace").strip()[:MAX_WORDS])
        if status != 200:
            raise ProbeError(f"{who} answered {status}")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ProbeError(f"{who} gave no baseline") from error

    async def put_bets(self, target: Target, request: dict[str, Any]) -> None:
        """Raises ProbeError where they were not taken."""
        who = _who(target)
        body, headers = orjson.dumps(request), {"Content-Type": "application/json"}
        url = f"{target.url}{BETS_PAGE}"
        status, said = await self._ask("PUT", url, who, data=body, headers=headers)
        if status != 200:
            words = said.decode(errors="replace").strip()[:MAX_WORDS]
            raise ProbeError(f"{who} refused the bets ({status}): {words}")


def _read(form: type[A], status: int, body: bytes, otherwise: str, who: str) -> A:
    """The answer; a ProbeError with the words of `otherwise` where it is none."""
    if status != 200:
        raise ProbeError(f"{who} answered {status}")
    try:
        return form.model_validate(orjson.loads(body))
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise ProbeError(f"{otherwise} ({type(error).__name__})") from error


def _check_space(answer: SketchesAnswer | RecallAnswer, expected: Expected, who: str) -> None:
    if answer.release != expected.release:
        raise ProbeError(f"{who} is of {answer.release}, not of {expected.release}")
    if answer.space is None:
        raise ProbeError(f"{who} waits for its encoder")
    if answer.space != expected.space:
        raise ProbeError(f"{who} watches space {answer.space}, not {expected.space}")


def _check_windows(answer: SketchesAnswer | RecallAnswer, expected: Expected, who: str) -> None:
    if answer.window_seconds != expected.window_seconds:
        # The pods roll in place when the field changes: it is so for a moment.
        raise ProbeError(
            f"{who} has windows of {answer.window_seconds} s, not of {expected.window_seconds}"
        )


def _who(target: Target) -> str:
    return f"the monitor of pod {target.pod}"
