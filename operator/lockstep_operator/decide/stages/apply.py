"""Carries out a transition of a release."""

from __future__ import annotations

from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.context.transitions import End, Enter, Fail, RollBack, Transition
from lockstep_operator.decide.stages.ending import end, fail, roll_back


def apply(context: ReconcileContext, name: str, transition: Transition) -> None:
    """Writes the transition into the release's record, its note and the traffic that it asks."""
    if isinstance(transition, End):
        end(context, name, transition)
    elif isinstance(transition, Fail):
        fail(context, name, transition)
    elif isinstance(transition, RollBack):
        roll_back(context, name, transition)
    else:
        if isinstance(transition, Enter):
            context.enter(name, transition.stage, **transition.record)
        if transition.note is not None:
            note = transition.note
            context.say(name, note.reason, note.message, ready=note.ready, stalled=note.stalled)
        if transition.traffic is not None:
            context.traffic = transition.traffic
