"""A DriftPolicy after this pass: what is seen, what is asked for, and the one sentence about it."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_operator.api.drift_policy import DriftPolicy, State
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.policies.drift_asking import Asked, ask
from lockstep_operator.decide.policies.drift_sights import Sight, sight_of

RUNBOOKS = {
    State.DRIFTING: "docs/runbooks/drift.md",
    State.RECALL_LOW: "docs/runbooks/recall-low.md",
}


@dataclass(frozen=True)
class Verdict:
    """`sight` is what is seen, `asked` what is done about it."""

    sight: Sight
    asked: Asked
    state: State

    @property
    def message(self) -> str:
        runbook = RUNBOOKS.get(self.sight.state)
        guide = [f"See {runbook}"] if runbook is not None else []
        parts = [self.sight.line, *guide, *self.sight.notes, *self.asked.notes]
        # Nothing after the last one: it may be a command.
        ended = (part if part.endswith(".") else f"{part}." for part in parts[:-1])
        return " ".join([*ended, parts[-1]])


def verdict_of(context: ReconcileContext, policy: DriftPolicy) -> Verdict:
    sight = sight_of(context, policy)
    asked = ask(context, policy, sight)
    return Verdict(sight, asked, _state(sight, asked))


def _state(sight: Sight, asked: Asked) -> State:
    if asked.request is not None and not asked.request.may_be_done:
        return State.WAITING_FOR_APPROVAL
    return State.ACTING if asked.acting else sight.state
