"""How Kubernetes tools read a state: kstatus, which kubectl wait, Helm, Flux and Argo CD share.

`Ready` is there from the first visit. `Reconciling` and `Stalled` are there only while they are
true: it goes on by itself, or it does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lockstep_operator.api.model import Phase
from lockstep_operator.api.status import Condition
from lockstep_operator.decide.vocabulary.conditions import State, true_or_false

_TYPES = frozenset({"Ready", "Reconciling", "Stalled"})


@dataclass(frozen=True)
class Summary:
    """One of our objects in a sentence, and in the words that tools compare."""

    phase: Phase
    reason: str
    message: str
    ready: bool = False
    reconciling: bool = False
    stalled: bool = False

    def states(self) -> list[State]:
        """Its kstatus conditions."""
        return kstatus(
            self.reason,
            self.message,
            ready=self.ready,
            reconciling=self.reconciling,
            stalled=self.stalled,
        )


def kstatus(
    reason: str, message: str, *, ready: bool, reconciling: bool, stalled: bool
) -> list[State]:
    """Ready, and of the other two those that are true."""
    others = (("Reconciling", reconciling), ("Stalled", stalled))
    return [
        true_or_false("Ready", ready, reason, message),
        *(true_or_false(kind, True, reason, message) for kind, holds in others if holds),
    ]


def other_states(conditions: Iterable[Condition]) -> list[State]:
    """The conditions that there were, without these three."""
    return [
        State(known.type, known.status, known.reason, known.message)
        for known in conditions
        if known.type not in _TYPES
    ]
