"""The state of evidence as JSON, so that a restart does not forget it: about 25 KiB."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from lockstep_core.drift import vectors
from lockstep_core.drift.bet_wire import BetWire, bet_from_wire, bet_to_wire
from lockstep_core.drift.evidence import EvidenceState, Form, Terms
from lockstep_core.drift.features import MAX_SIZE
from lockstep_core.drift.wire import Base64, Count, Key, NotNegative, Number, Role, parse
from lockstep_core.protocol.base import Contract, Sha256

SCHEMA: Literal["lockstep.dev/drift-evidence/v1"] = "lockstep.dev/drift-evidence/v1"
Window = Annotated[int, Field(ge=0, le=2**53)]


class TermsWire(Contract):
    epsilon: Number
    threshold: Number
    form: Literal["Detector", "Finite"]
    lead: int = Field(ge=1, le=64)


class EvidenceWire(Contract):
    schema_: Literal["lockstep.dev/drift-evidence/v1"] = Field(alias="schema")
    key: Key
    role: Role
    baseline_digest: Sha256
    features_digest: Sha256
    terms: TermsWire
    size: int = Field(ge=2, le=MAX_SIZE)
    excess: Base64
    weight: NotNegative
    payoff: Number
    payoff_weight: NotNegative
    second: NotNegative
    second_weight: NotNegative
    log_k: Number
    window: Window | None = None
    windows: Count
    bets: list[BetWire] = Field(max_length=65)
    alarm_window: Window | None = None


def to_wire(state: EvidenceState, features_digest: str) -> dict[str, Any]:
    """JSON-ready. `features_digest`: what the state's bets are on."""
    return {
        "schema": SCHEMA,
        "key": state.key,
        "role": state.role,
        "baselineDigest": state.baseline_digest,
        "featuresDigest": features_digest,
        "terms": {
            "epsilon": state.terms.epsilon,
            "threshold": state.terms.threshold,
            "form": str(state.terms.form),
            "lead": state.terms.lead,
        },
        "size": len(state.excess),
        "excess": vectors.encode(state.excess),
        "weight": state.weight,
        "payoff": state.payoff,
        "payoffWeight": state.payoff_weight,
        "second": state.second,
        "secondWeight": state.second_weight,
        "logK": state.log_k,
        "window": state.window,
        "windows": state.windows,
        "bets": [bet_to_wire(bet) for bet in state.bets],
        "alarmWindow": state.alarm_window,
    }


def from_wire(content: object) -> EvidenceState:
    """Raises DriftError, naming the field, for what `to_wire` did not write."""
    wire = parse(EvidenceWire, content, "evidence")
    terms = wire.terms
    return EvidenceState(
        wire.key,
        wire.role,
        wire.baseline_digest,
        Terms(terms.epsilon, terms.threshold, Form(terms.form), terms.lead),
        vectors.decode(wire.excess, wire.size, "excess"),
        wire.weight,
        wire.payoff,
        wire.payoff_weight,
        wire.second,
        wire.second_weight,
        wire.log_k,
        wire.window,
        wire.windows,
        tuple(
            bet_from_wire(bet.model_dump(by_alias=True), wire.features_digest) for bet in wire.bets
        ),
        wire.alarm_window,
    )
