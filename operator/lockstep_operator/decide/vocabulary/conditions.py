"""metav1.Condition lists: sorted by type, and a time that moves only when the status does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lockstep_operator.api.status import Condition, ConditionStatus

MESSAGE_LIMIT = 8192


@dataclass(frozen=True)
class State:
    """A condition without its times."""

    type: str
    status: ConditionStatus
    reason: str
    message: str


def true_or_false(type_: str, holds: bool, reason: str, message: str) -> State:
    status = ConditionStatus.TRUE if holds else ConditionStatus.FALSE
    return State(type_, status, reason, message)


def conditions(
    states: Iterable[State], before: Sequence[Condition] | None, generation: int, now: str
) -> list[Condition]:
    """The whole list; a condition that is not among `states` is dropped (Reconciling, Stalled)."""
    known = {condition.type: condition for condition in before or ()}
    listed = []
    for state in sorted(states, key=lambda state: state.type):
        old = known.get(state.type)
        same = old is not None and old.status == state.status
        listed.append(
            Condition(
                type=state.type,
                status=state.status,
                reason=state.reason,
                message=state.message[:MESSAGE_LIMIT],
                observed_generation=generation,
                last_transition_time=old.last_transition_time if same and old else now,
            )
        )
    return listed
