"""Transitions of a release: it stays where it is, enters another stage, or ends.

A stage returns one of these, and `stages.advance` carries it out. The return type of a stage names
the stages that it may enter, so its edges stand in its signature, and mypy keeps them true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from lockstep_core.protocol.result import Damage
from lockstep_operator.api.release import Stage
from lockstep_operator.decide.context.traffic import Traffic
from lockstep_operator.decide.vocabulary.reasons import Outcome, Word

S = TypeVar("S", bound=Stage)
S_co = TypeVar("S_co", bound=Stage, covariant=True)


@dataclass(frozen=True)
class Note:
    """The status of a release in this pass. `stalled`: it does not go on by itself."""

    reason: str
    message: str
    ready: bool = False
    stalled: bool = False


@dataclass(frozen=True)
class Stay:
    """It stays where it is. Without a note its last message stands.

    `traffic`: who should answer meanwhile; None: what an earlier stage of the pass asked for, else
    the stable release.
    """

    note: Note | None = None
    traffic: Traffic | None = None


@dataclass(frozen=True)
class Enter(Generic[S_co]):
    """It enters `stage`. `record`: further fields of its record, by their Python names."""

    stage: S_co
    record: Mapping[str, Any] = field(default_factory=dict)
    note: Note | None = None
    traffic: Traffic | None = None


@dataclass(frozen=True)
class Fail:
    """It needs a person, or another spec. What serves is not touched.

    `stage` is where it failed; None: where it is. `damage`: the artifact that was refused.
    """

    reason: str
    message: str
    exit_code: int | None = None
    pod: str | None = None
    stage: Stage | None = None
    damage: Damage | None = None


@dataclass(frozen=True)
class RollBack:
    """It may have requests: stable takes those back first, then it ends with `outcome`."""

    reason: str
    message: str
    exit_code: int | None = None
    pod: str | None = None
    outcome: Outcome = Outcome.FAILED
    damage: Damage | None = None


@dataclass(frozen=True)
class End:
    """It ends, and never served alone. `stage` as in `Fail`: a retry enters it again."""

    outcome: str
    reason: Word
    message: str
    stage: Stage | None = None


Transition = Stay | Enter[Stage] | Fail | RollBack | End


def stay(reason: str, message: str, *, traffic: Traffic | None = None) -> Stay:
    """It stays where it is, with this reason and message."""
    return Stay(Note(reason, message), traffic)
