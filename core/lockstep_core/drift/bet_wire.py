"""Bets as JSON, from who watches to the pods."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from lockstep_core.drift import vectors
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.errors import DriftError
from lockstep_core.drift.features import MAX_SIZE
from lockstep_core.drift.wire import Base64, Key, NotNegative, Number, Role, parse
from lockstep_core.protocol.base import Contract, Sha256


class BetWire(Contract):
    """`lambda` is the stake; `digest` covers all the others and the features."""

    key: Key
    role: Role
    from_window: int = Field(ge=0, le=2**53)
    size: int = Field(ge=2, le=MAX_SIZE)
    witness: Base64
    offset: Number
    epsilon: Number
    stake: NotNegative = Field(alias="lambda")
    digest: Sha256


def bet_to_wire(bet: Bet) -> dict[str, Any]:
    return {
        "key": bet.key,
        "role": bet.role,
        "fromWindow": bet.from_window,
        "size": len(bet.witness),
        "witness": vectors.encode(bet.witness),
        "offset": bet.offset,
        "epsilon": bet.epsilon,
        "lambda": bet.stake,
        "digest": bet.digest,
    }


def bet_from_wire(content: object, features_digest: str) -> Bet:
    """A bet of parsed JSON on these features. Raises DriftError, naming the field, also where the
    digest is of another bet, or of other features."""
    wire = parse(BetWire, content, "bet")
    witness = vectors.decode(wire.witness, wire.size, "witness").astype(np.float32)
    bet = Bet(
        wire.key,
        wire.role,
        features_digest,
        wire.from_window,
        witness,
        wire.offset,
        wire.epsilon,
        wire.stake,
    )
    if bet.digest != wire.digest:
        raise DriftError(f"bet: `digest` is {wire.digest}, not {bet.digest}; ask for a bet again")
    return bet
