"""The judge of each type of gate: `judge` of the module of this package that has the type's name.

Found by that name, so that a new gate is its row in `api.gates` and its module, and no list beside
them. A type without a module fails here, when the operator starts.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from lockstep_operator.api.gates import GateType
from lockstep_operator.api.status import GateVerdict

# An offline judge takes (gate, facts of the evaluation, short name of stable or None); a live one
# (gate, what its reading gave).
Judge = Callable[..., GateVerdict]


def module_of(kind: GateType) -> str:
    """`latency` of `Latency`, `live_recall` of `LiveRecall`."""
    return kind.name.lower()


def _judge(kind: GateType) -> Judge:
    judge: Judge = import_module(f"{__package__}.{module_of(kind)}").judge
    return judge


JUDGES: dict[GateType, Judge] = {kind: _judge(kind) for kind in GateType}
