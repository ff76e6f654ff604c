"""The steps of a canary, and what must hold of them together."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ConfigDict, Field

from lockstep_core.protocol.base import Contract, rule, validations
from lockstep_operator.api.gate_rows import is_none_of, is_one_of, named, named_as_judged
from lockstep_operator.api.gates import (
    COUNT_REQUESTS,
    NEED_MONITOR,
    OFFLINE,
    SEND_REQUESTS,
    GateName,
)

MAX_STEPS = 32


class PauseStep(Contract):
    """Waits, with the traffic of the step before."""

    seconds: int | None = Field(
        default=None,
        ge=1,
        le=31_536_000,
        description="How long. Unset: until a person promotes or approves the release. Nothing is"
        " measured meanwhile: let an `analysis` come first.",
    )


class AnalysisStep(Contract):
    """Judges live gates while a release takes its share of the traffic, or all of it."""

    gates: list[GateName] = Field(
        min_length=1,
        max_length=16,
        description="Names of gates in `spec.rollout.gates` that are measured live.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class Step(Contract):
    """One step of a canary: exactly one of its fields is set."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            rule(
                "[has(self.setWeight), has(self.mirror), has(self.pause), has(self.analysis)]"
                ".filter(x, x).size() == 1",
                "a step must set exactly one of `setWeight`, `mirror`, `pause` and `analysis`",
            )
        )
    )

    set_weight: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Percent of the requests that the candidate answers from here on; never less"
        " than before."
        " 100, as the last step, says what happens anyway: it is promoted.",
    )
    mirror: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Percent of the requests that are copied to the candidate from here on, whose"
        " answers are thrown away. Needs `traffic.router: GatewayAPI`.",
    )
    pause: PauseStep | None = Field(default=None, description="Wait, or wait for a person.")
    analysis: AnalysisStep | None = Field(default=None, description="Judge live gates.")


# CEL of some API servers knows no place of an item in a list.
_PLACES = f"[{', '.join(str(place) for place in range(MAX_STEPS))}]"
_SENDS = " || ".join(
    f"(has(self.steps[j].{field}) && self.steps[j].{field} > 0)"
    for field in ("setWeight", "mirror")
)


def _judges(kinds: Iterable[str]) -> str:
    """CEL: the analysis of step i names a gate of one of these types."""
    return (
        f"self.gates.exists(g, {is_one_of('g', list(kinds))}"
        " && self.steps[i].analysis.gates.exists(n, n == g.name))"
    )


# Of `RolloutSpec`: each looks at all steps, or at the gates as well.
STEP_RULES = (
    rule(
        "!has(self.steps) || self.steps.all(s, !has(s.analysis) ||"
        " s.analysis.gates.all(n, has(self.gates) && self.gates.exists(g, g.name == n"
        f" && {is_none_of('g', OFFLINE)})))",
        "`analysis.gates` must name gates of `gates` that are measured live:"
        f" {named_as_judged(OFFLINE)} before the canary",
        ".steps",
    ),
    rule(
        f"!has(self.steps) || !has(self.gates) || {_PLACES}.all(i, i >= self.steps.size()"
        f" || !has(self.steps[i].analysis) || {_PLACES}.exists(j, j < i && ({_SENDS}))"
        f" || !{_judges(COUNT_REQUESTS)} || {_judges(SEND_REQUESTS)})",
        f"`analysis` must not name gates of type {named(COUNT_REQUESTS)} before a step sends the"
        " candidate requests: put a `setWeight` or `mirror` above 0 first, or name a gate of type"
        f" {named(SEND_REQUESTS)} beside them, which sends its own",
        ".steps",
    ),
    rule(
        f"!has(self.steps) || !has(self.gates) || {_PLACES}.all(i, i >= self.steps.size()"
        f" || !has(self.steps[i].analysis) || {_PLACES}.exists(j, j < i && ({_SENDS}))"
        f" || !{_judges(NEED_MONITOR)})",
        f"`analysis` must not name gates of type {named(NEED_MONITOR)} before a step sends the"
        " candidate requests: put a `setWeight` or `mirror` above 0 first; monitors do not count"
        " queries that the operator sends",
        ".steps",
    ),
    rule(
        "!has(self.steps) || self.steps.filter(s, has(s.setWeight)).map(s, s.setWeight).isSorted()",
        "`setWeight` must not be less than in a step before: a candidate that shall lose its"
        " requests is aborted (annotation `lockstep.dev/abort`)",
        ".steps",
    ),
    rule(
        "!has(self.steps) || self.steps.size() < 2 || self.steps.exists_one(s,"
        " has(s.setWeight) && s.setWeight == 100) == false ||"
        " (has(self.steps[self.steps.size() - 1].setWeight)"
        " && self.steps[self.steps.size() - 1].setWeight == 100)",
        "`setWeight: 100` must be the last step: it is the promotion",
        ".steps",
    ),
)
