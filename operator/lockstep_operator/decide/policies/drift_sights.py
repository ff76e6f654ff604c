"""What is seen for a DriftPolicy: the report in a word and a line."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from lockstep_core.protocol.drift import BaselineKind, DriftReport, RoleReport, Seen
from lockstep_operator.api.drift_policy import DriftPolicy, State
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.policies.drift_lines import (
    is_just_learned,
    length_text,
    recall_lines,
    role_line,
)
from lockstep_operator.decide.policies.drift_watches import (
    BASELINE_WINDOWS,
    refused_epoch,
    watch_of,
    without_bets,
    without_recall,
    wrong_windows,
)
from lockstep_operator.decide.snapshot.drift import DriftWatch
from lockstep_operator.decide.vocabulary import clock
from lockstep_operator.decide.vocabulary.reasons import Reason


@dataclass(frozen=True)
class Sight:
    """`known` False: nothing came back yet, as after a restart, and the status stands as it is."""

    state: State
    reason: Reason
    line: str
    watch: DriftWatch | None = None
    report: DriftReport | None = None
    known: bool = True
    stalled: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def drift(self) -> frozenset[Seen]:
        """What the embeddings show."""
        roles = self.report.roles if self.report is not None else ()
        return frozenset(one for role in roles for one in role.seen)

    @property
    def seen(self) -> frozenset[Seen]:
        return self.drift | ({Seen.RECALL_BELOW} if self.recall_holds is False else frozenset())

    @property
    def recall_holds(self) -> bool | None:
        """Whether every index that could be judged has its recall; None: none could."""
        recalls = self.report.recalls if self.report is not None else ()
        judged = [one for one in recalls if one.judged]
        return all(not one.seen for one in judged) if judged else None

    @property
    def is_judged(self) -> bool:
        """Whether the embeddings of a window were: it drifts, or it is quiet."""
        return self.state in (State.QUIET, State.DRIFTING) or (
            self.state is State.RECALL_LOW and self.worst is not None
        )

    @property
    def worst(self) -> RoleReport | None:
        """The role that is furthest from its baseline, for its tolerance."""
        roles = self.report.roles if self.report is not None else ()
        judged = [role for role in roles if role.judged is not None and role.tolerance]
        return max(judged, key=_excess, default=None)

    def roles_that_show(self, seen: Seen) -> list[RoleReport]:
        roles = self.report.roles if self.report is not None else ()
        return [role for role in roles if seen in role.seen]


def sight_of(context: ReconcileContext, policy: DriftPolicy) -> Sight:
    watch = watch_of(context, policy)
    if isinstance(watch, str):
        return _nothing_to_watch(context, policy, watch)
    report = context.snapshot.observed.drift.get(policy.uid)
    if report is None or report.release != watch.parameters.release:
        return _nothing_yet(context, policy, watch)
    refused = refused_epoch(policy, context.stable)
    cannot = (without_bets(context, policy), without_recall(context, policy, context.stable))
    notes = tuple(note for note in (refused, *cannot, report.note) if note)
    if report.problem:
        return _nothing_came(report, watch, notes)
    if not report.roles:
        # Pods that answer, and no window yet that began after the promotion and has ended.
        return _nothing_yet(context, policy, watch)
    told = [role_line(policy.spec, report, role) for role in report.roles]
    lines = "; ".join([*told, *recall_lines(report)])
    state = _state(policy, report)
    if state is State.UNMONITORED:
        reason = Reason.BASELINE_NOT_BLOCK_CALIBRATED
        return Sight(state, reason, _no_ground(report), watch, report, stalled=True, notes=notes)
    return Sight(state, Reason(state.value), lines, watch, report, notes=notes)


def _state(policy: DriftPolicy, report: DriftReport) -> State:
    if any(role.seen for role in report.roles):
        return State.DRIFTING
    if any(one.seen for one in report.recalls):
        return State.RECALL_LOW
    if any(role.tolerance is None and not role.needed for role in report.roles):
        return State.UNMONITORED
    just_learned = (is_just_learned(policy.spec, role) for role in report.roles)
    if any(role.tolerance is None for role in report.roles) or any(just_learned):
        return State.LEARNING
    return State.QUIET if any(role.judged for role in report.roles) else State.NO_DATA


def _nothing_to_watch(context: ReconcileContext, policy: DriftPolicy, why: str) -> Sight:
    if wrong_windows(context, policy) == why:
        return Sight(State.UNMONITORED, Reason.INVALID_SPEC, f"{why}.", stalled=True)
    reason = Reason.NO_RELEASE if context.stable is None else Reason.UNMONITORED
    return Sight(State.UNMONITORED, reason, f"Nothing is watched: {why}.")


def _nothing_yet(context: ReconcileContext, policy: DriftPolicy, watch: DriftWatch) -> Sight:
    status, parameters = policy.status, watch.parameters
    goes_on = status.release == parameters.release and status.state is not State.UNMONITORED
    seconds = parameters.window_seconds
    window = max(watch.first_window, int(context.snapshot.now.timestamp() // seconds))
    ends = clock.text(datetime.fromtimestamp((window + 1) * seconds, UTC))
    first = f"the first window of {length_text(seconds)} ends at {ends}"
    line = f"nothing is judged yet: {first}"
    if policy.spec.baseline is BaselineKind.TRAFFIC:
        needed = policy.spec.baseline_windows or BASELINE_WINDOWS
        line = f"0 of {needed} windows are learned; {first}"
    return Sight(State.LEARNING, Reason.LEARNING, line, watch, known=not goes_on)


def _nothing_came(report: DriftReport, watch: DriftWatch, notes: tuple[str, ...]) -> Sight:
    line = f"Nothing is watched: {report.problem}."
    if report.watchable:
        return Sight(State.NO_DATA, Reason.NO_DATA, line, watch, report, notes=notes)
    return Sight(State.UNMONITORED, Reason.UNMONITORED, line, watch, report, notes=notes)


def _no_ground(report: DriftReport) -> str:
    troubles = sorted({role.trouble for role in report.roles if role.trouble})
    why = troubles[0] if troubles else "nothing is known of how its windows differ"
    return (
        f"`tolerance: Auto` has no ground in this baseline: {why}. Set `spec.tolerance`, such as"
        ' "0.030", or `spec.baseline: Traffic`.'
    )


def _excess(role: RoleReport) -> float:
    assert role.judged is not None and role.tolerance
    return role.judged.value / role.tolerance
