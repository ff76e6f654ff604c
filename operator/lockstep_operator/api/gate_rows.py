"""What is declared of a type of gate, and the CEL rules of the schema that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from lockstep_core.protocol.base import rule
from lockstep_operator.api.gate_fields import REPLAYED_QUERIES

T = TypeVar("T", bound=str)


class GatePhase(StrEnum):
    """`Offline`: judged once, in Evaluating, before anything serves. `Live`: in an analysis."""

    OFFLINE = "Offline"
    LIVE = "Live"


@dataclass(frozen=True)
class Reading:
    """What a gate is judged by, and in which phase.

    `held_out`: it needs labelled held-out items. `sampled`: it counts samples, so that a confidence
    bound decides; a reading without has no `minSamples` and no `confidence`.
    """

    name: str
    phase: GatePhase
    held_out: bool
    sampled: bool


# The facts of the evaluation, a Job that measures candidate and stable once.
EVALUATION = Reading("evaluation", GatePhase.OFFLINE, held_out=True, sampled=True)
# A Job that sends held-out queries through the candidate's own servers.
REPLAY = Reading("replay", GatePhase.LIVE, held_out=True, sampled=True)
# The counters in the metrics of the candidate's encoder pods.
SCRAPE = Reading("scrape", GatePhase.LIVE, held_out=False, sampled=True)
# The same, beside those of the release that it would replace, on the same traffic.
SCRAPE_BESIDE = Reading("scrape-beside", GatePhase.LIVE, held_out=False, sampled=True)
# What the monitors beside the encoders summed up of live embeddings, the candidate's and stable's.
SKETCHES = Reading("sketches", GatePhase.LIVE, held_out=False, sampled=True)
# The answer of a Prometheus server to one query.
QUERY = Reading("query", GatePhase.LIVE, held_out=False, sampled=False)

# Fields of every gate whose reading says so.
_SAMPLED_FIELDS = ("confidence",)
_LIVE_FIELDS = ("intervalSeconds", "count", "failureLimit", "inconclusiveLimit", "errorLimit")


@dataclass(frozen=True)
class ValueRule:
    """`holds`, in CEL, of each gate of a type; else the API server says `message`, at `at`."""

    holds: str
    message: str
    at: str


@dataclass(frozen=True)
class GateRow:
    """One type of gate.

    `fields` belong to it, and to no type whose row does not name them. `required`: of each group at
    least one field must be set; else the API server says `message`, at the field `at`.
    `needs_recall`: the evaluation has to measure recall@k for it. `needs_stable`: it judges nothing
    without a release beside it. `values`: what must hold of its bounds, or it could never pass.
    """

    reading: Reading
    fields: tuple[str, ...]
    required: tuple[tuple[str, ...], ...]
    message: str
    at: str
    needs_recall: bool = False
    needs_stable: bool = False
    values: tuple[ValueRule, ...] = ()

    @property
    def phase(self) -> GatePhase:
        return self.reading.phase


def required_rules(rows: Mapping[T, GateRow]) -> list[dict[str, str]]:
    """A gate of each type sets the bounds that it is judged by, and says how much data it needs."""
    unsampled = [kind for kind, row in rows.items() if not row.reading.sampled]
    bounds = [
        rule(f"self.type != '{kind}' || {_set(row.required)}", row.message, f".{row.at}")
        for kind, row in rows.items()
    ]
    samples = rule(
        f"({_either('self', unsampled)}) != has(self.minSamples)",
        f"`minSamples` must be set, except for type {named(unsampled)}, whose answer has none",
        ".minSamples",
    )
    return [*bounds, samples]


def below_one(field: str) -> ValueRule:
    """The lower confidence bound of a share, which `field` is compared with, is always below 1."""
    return ValueRule(
        f"!has(self.{field}) || double(self.{field}) < 1.0",
        f"`{field}` must be below 1: no number of samples shows that much; ask for `0.999`, say",
        field,
    )


def above_zero(field: str, why: str) -> ValueRule:
    """No number of samples shows that nothing at all is lost or added."""
    return ValueRule(
        f"!has(self.{field}) || double(self.{field}) > 0.0",
        f"`{field}` must be above 0: {why}",
        field,
    )


# A replay sends no more queries than it is told.
WITHIN_SENT = ValueRule(
    "!has(self.minSamples) || self.minSamples <="
    f" (has(self.maxSamples) ? self.maxSamples : {REPLAYED_QUERIES})",
    "`minSamples` must be at most `maxSamples`, which is"
    f" {REPLAYED_QUERIES} when unset: no more queries are sent",
    "minSamples",
)
# Below this, monitors give no gauge of the shape of embeddings (`lockstep_core.drift.geometry`).
LEAST_EMBEDDINGS = 100
# What must hold of `Geometry` and of `Drift`.
OF_LOSS: tuple[ValueRule, ...] = (
    above_zero(
        "maxLoss",
        "no number of embeddings shows that no spread is lost; ask for `0.05`, say",
    ),
    below_one("maxLoss"),
    ValueRule(
        f"!has(self.minSamples) || self.minSamples >= {LEAST_EMBEDDINGS}",
        f"`minSamples` must be at least {LEAST_EMBEDDINGS} for type `Geometry`: fewer"
        " embeddings have no shape",
        "minSamples",
    ),
)
OF_DISTANCE: tuple[ValueRule, ...] = (
    above_zero(
        "maxDistance",
        "a held-out set is a sample, so all embeddings differ from it; ask for `0.030`, say",
    ),
)


def value_rules(rows: Mapping[T, GateRow]) -> list[dict[str, str]]:
    """No gate has bounds that nothing could be within."""
    return [
        rule(f"self.type != '{kind}' || {value.holds}", value.message, f".{value.at}")
        for kind, row in rows.items()
        for value in row.values
    ]


def field_rules(rows: Mapping[T, GateRow]) -> list[dict[str, str]]:
    """Each field is for the types that it belongs to alone."""
    owners: dict[str, list[str]] = {}
    for kind, row in rows.items():
        for field in row.fields:
            owners.setdefault(field, []).append(kind)
    sampled: list[str] = [kind for kind, row in rows.items() if row.reading.sampled]
    live: list[str] = [kind for kind, row in rows.items() if row.phase is GatePhase.LIVE]
    owners |= dict.fromkeys(_SAMPLED_FIELDS, sampled) | dict.fromkeys(_LIVE_FIELDS, live)
    return [
        rule(
            f"!has(self.{field}) || {_either('self', kinds)}",
            f"`{field}` is for type {named(kinds)}",
            f".{field}",
        )
        for field, kinds in owners.items()
    ]


def named(kinds: Iterable[str]) -> str:
    """The types as a message names them: `` `Recall` and `LiveRecall` ``."""
    return " and ".join(f"`{kind}`" for kind in kinds)


def named_as_judged(kinds: Sequence[str]) -> str:
    """`` `Recall` is judged ``."""
    return f"{named(kinds)} {'is' if len(kinds) == 1 else 'are'} judged"


def is_one_of(gate: str, kinds: Sequence[str]) -> str:
    """CEL, as an operand of `&&`: the gate in variable `gate` is of one of these types."""
    either = _either(gate, kinds)
    return f"({either})" if len(kinds) > 1 else either


def is_none_of(gate: str, kinds: Iterable[str]) -> str:
    """CEL, as an operand of `&&`: the gate in variable `gate` is of none of these types."""
    return " && ".join(f"{gate}.type != '{kind}'" for kind in kinds)


def _either(gate: str, kinds: Iterable[str]) -> str:
    return " || ".join(f"{gate}.type == '{kind}'" for kind in kinds)


def _set(groups: Sequence[Sequence[str]]) -> str:
    """CEL: of each group at least one field is set."""
    either = [" || ".join(f"has(self.{field})" for field in group) for group in groups]
    if len(either) == 1:
        return either[0]
    whole = (f"({one})" if " || " in one else one for one in either)
    return f"({' && '.join(whole)})"
