"""The stream of one drift policy: pods are asked, their sketches merged, the window judged, stored.

Imported when the first policy is watched: this is where the operator needs numpy.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lockstep_core.drift import tracking
from lockstep_core.drift.baseline_file import from_wire as baseline_from_wire
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.bet_wire import bet_to_wire
from lockstep_core.drift.errors import DriftError
from lockstep_core.drift.tracking import TrackingState
from lockstep_core.drift.tracking_records import state_from_json, state_to_json
from lockstep_core.protocol.drift import BaselineKind, DriftReport
from lockstep_operator.decide.snapshot.drift import DriftWatch
from lockstep_operator.decide.snapshot.measurements import Target
from lockstep_operator.runtime.drift_gathering import Gathering
from lockstep_operator.runtime.drift_pages import Told, common_features, told_by
from lockstep_operator.runtime.drift_store import DriftStore, Stored, stored_or_nothing
from lockstep_operator.runtime.errors import ApiError
from lockstep_operator.runtime.monitors import Expected, Monitors, NothingToWatch
from lockstep_operator.runtime.probing import ProbeError
from lockstep_operator.runtime.recall_gathering import RecallGathering, Recalls

HISTORY = 96
"""Windows of before a policy came, or the operator, that are still asked for."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answers:
    """How many pods answered, and why the others did not."""

    answered: tuple[Target, ...] = ()
    problem: str = ""
    watchable: bool = True


class Stream:
    """One policy. `load` first, then `look` once a window."""

    def __init__(self, key: str, store: DriftStore, monitors: Monitors) -> None:
        self._key = key
        self._store = store
        self._monitors = monitors
        self._state: TrackingState | None = None
        self._gathering: tuple[object, Gathering] | None = None
        self._recall = RecallGathering()
        self._recalls = Recalls()
        self._loaded = False
        self._stored = ""
        self._note = ""

    async def load(self, watch: DriftWatch) -> DriftReport | None:
        """What was known before, at the start of the process. None: nothing of this release."""
        await self._load()
        state = self._state
        if state is None or state.window is None or not state.fits(watch.parameters):
            return None
        if watch.parameters.recall is not None:
            # Pods know it, and are asked at once: a report without it would say that it is over.
            return None
        return self._report(watch, _Answers(watch.targets))

    async def look(self, watch: DriftWatch, closed: int) -> DriftReport:
        """Asks all pods for what they closed up to the window `closed`, and judges it."""
        parameters = watch.parameters
        if not self._loaded and not await self._load():
            # What was learned must not be written over by what begins anew.
            problem = "the API server does not give what was learned so far"
            return self._report(watch, _Answers((), problem), closed)
        state = self._state
        if state is None or not state.fits(parameters):
            state = self._state = tracking.begin(self._key, parameters)
        gathering = self._gathering_of(watch, state, closed)
        answers = await self._ask(watch, gathering, closed)
        if not answers.answered:
            return self._report(watch, answers, closed)
        self._recalls = await self._recall.look(self._monitors, watch, answers.answered, closed)
        try:
            held_out = await self._held_out(watch, state, answers)
            await asyncio.to_thread(self._judge, watch, gathering, closed, held_out)
        except NothingToWatch as error:
            return self._report(watch, _Answers((), str(error), watchable=False), closed)
        except (ProbeError, DriftError) as error:
            return self._report(watch, _Answers((), str(error)), closed)
        await self._save()
        return self._report(watch, answers, closed)

    async def _load(self) -> bool:
        stored = await stored_or_nothing(self._store)
        if stored is None:
            return False
        self._loaded = True
        self._take_over(stored)
        return True

    @property
    def bets(self) -> tuple[str, Sequence[Bet]]:
        """The features that they are of, and the bets for the windows to come."""
        state = self._state
        if state is None or state.features_digest is None:
            return "", ()
        return state.features_digest, state.coming_bets

    def _gathering_of(self, watch: DriftWatch, state: TrackingState, closed: int) -> Gathering:
        """Anew for another release, other roles, or an epoch that begins now."""
        identity = (watch.parameters.release, state.epoch, watch.parameters.roles)
        if self._gathering is not None and self._gathering[0] == identity:
            return self._gathering[1]
        start = max(watch.first_window - 1, closed - HISTORY)
        if state.window is not None:
            start = max(state.window, closed - HISTORY)
        elif state.epoch:
            start = closed - 1
        gathering = Gathering(start, watch.parameters.roles)
        self._gathering = (identity, gathering)
        return gathering

    async def _ask(self, watch: DriftWatch, gathering: Gathering, closed: int) -> _Answers:
        gathering.note = ""
        if not watch.targets:
            return _Answers((), f"no encoder pod of {watch.parameters.release} is ready")
        expected = Expected(watch.parameters.release, watch.space, watch.parameters.window_seconds)
        found = await asyncio.gather(
            *(
                told_by(
                    self._monitors,
                    target,
                    after=gathering.after(target.uid),
                    closed=closed,
                    history=HISTORY,
                    expected=expected,
                )
                for target in watch.targets
            )
        )
        told = [one for one in found if isinstance(one, Told)]
        if not told:
            errors = [one for one in found if isinstance(one, ProbeError)]
            nothing = next((e for e in errors if isinstance(e, NothingToWatch)), None)
            return _Answers((), str(nothing or errors[0]), watchable=nothing is None)
        known = self._state.features_digest if self._state is not None else None
        digest = common_features(told, known)
        for one in told:
            await asyncio.to_thread(gathering.add, one, digest)
        return _Answers(tuple(one.target for one in told))

    async def _held_out(self, watch: DriftWatch, state: TrackingState, answers: _Answers) -> Any:
        """The baseline of the artifact, asked for until it is part of the state."""
        parameters = watch.parameters
        known = [role for role in parameters.roles if role in state.roles]
        has_all = len(known) == len(parameters.roles) and all(
            state.roles[role].baseline is not None for role in known
        )
        if parameters.baseline is not BaselineKind.HELD_OUT or has_all:
            return None
        return baseline_from_wire(await self._monitors.baseline(answers.answered[0]))

    def _judge(self, watch: DriftWatch, gathering: Gathering, closed: int, held_out: Any) -> None:
        state = self._state
        assert state is not None
        uids = [target.uid for target in watch.targets]
        for window, sketches in gathering.ready(closed, uids):
            state = tracking.step(state, window, sketches, watch.parameters, held_out)
            self._state = state

    async def _save(self) -> None:
        state = self._state
        if state is None or state.window is None:
            return
        text = await asyncio.to_thread(state_to_json, state)
        if text == self._stored:
            return
        try:
            other = await self._store.save(text)
            if other is not None and not self._take_over(other) and not other.problem:
                other = await self._store.save(text)
        except ApiError as error:
            logger.warning("drift state not written", extra={"error": str(error)})
            return
        if other is None:
            self._stored, self._note = text, ""

    def _take_over(self, stored: Stored) -> bool:
        """Takes a state that is not older than ours; what cannot be read is begun anew."""
        self._note = stored.problem
        if not stored.text:
            return False
        try:
            state = state_from_json(stored.text)
        except (DriftError, ValueError) as error:
            logger.warning("drift state not readable", extra={"error": str(error)})
            return False
        ours = self._state
        if state.key != self._key:
            return False
        if ours is not None and ours.window is not None and (state.window or -1) < ours.window:
            return False
        self._state, self._stored, self._gathering = state, stored.text, None
        return True

    def _report(
        self, watch: DriftWatch, answers: _Answers, closed: int | None = None
    ) -> DriftReport:
        state, parameters = self._state, watch.parameters
        known = state is not None and state.window is not None and state.fits(parameters)
        window = state.window if known and state is not None else closed
        note = self._gathering[1].note if self._gathering is not None else ""
        return DriftReport(
            release=parameters.release,
            window=window if window is not None else 0,
            window_seconds=parameters.window_seconds,
            roles=state.reports if known and state is not None else (),
            problem=answers.problem,
            watchable=answers.watchable,
            pods=len(watch.targets),
            answered=len(answers.answered),
            note=note or self._note or self._recalls.note,
            recalls=() if answers.problem else self._recalls.reports,
        )


def bets_request(features_digest: str, bets: Sequence[Bet]) -> dict[str, Any]:
    """The body of `PUT /v1/bets`."""
    return {"featuresDigest": features_digest, "bets": [bet_to_wire(bet) for bet in bets]}
