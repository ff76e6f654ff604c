"""The report of a validation: JSON for machines, lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from pydantic import Field

from lockstep_core.datasets import Problem, Strings
from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_trainer.validation.examination import Examination

REPORT_SCHEMA = "lockstep.dev/validation/v1"


class Finding(Contract):
    """`count` rows, classes or fields have it; `examples` are at most five of them.

    Without `fix`, `what` says what to do.
    """

    what: str
    count: int = Field(ge=0)
    examples: tuple[str, ...] = Field(default=(), max_length=5)
    fix: str | None = None

    @classmethod
    def of(cls, problem: Problem) -> Finding:
        return cls(
            what=_printable(problem.what),
            count=problem.count,
            examples=tuple(map(_printable, problem.examples)),
            fix=_printable(problem.fix),
        )


class Side(Contract):
    """One side of the split."""

    items: int = Field(ge=0)
    classes: int = Field(ge=0)

    @classmethod
    def of(cls, labels: Strings) -> Side:
        return cls(items=len(labels), classes=len(np.unique(labels)))


class ValidationReport(Contract):
    """What `lockstep-train validate` prints. `exitCode` 0: the set can be trained on."""

    schema_: str = Field(default=REPORT_SCHEMA, alias="schema")
    exit_code: ExitCode
    reason: str
    uri: str | None = None
    digest: str | None = None
    input: dict[str, Any] | None = None
    training: Side | None = None
    held_out: Side | None = None
    raw_recall_at_1: float | None = Field(default=None, alias="rawRecallAt1")
    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=2)

    def lines(self) -> Iterator[str]:
        """For a person: each finding, its examples, its fix; and what it comes to."""
        for kind, findings in (("error", self.errors), ("warning", self.warnings)):
            for each in findings:
                count = f" ({each.count})" if each.examples else ""
                yield f"{kind}: {each.what}{count}"
                if each.examples:
                    yield f"    e.g. {', '.join(each.examples)}"
                if each.fix:
                    yield f"    fix: {each.fix}"
        yield self._verdict()

    def _verdict(self) -> str:
        if self.exit_code is not ExitCode.OK:
            errors = f"{len(self.errors)} error{'' if len(self.errors) == 1 else 's'}"
            return f"{self.reason}: {errors}; nothing was trained (exit code {self.exit_code:d})"
        sides = ""
        if self.training is not None and self.held_out is not None:
            sides = (
                f"{self.training.items} items of {self.training.classes} classes to train on,"
                f" {self.held_out.items} of {self.held_out.classes} held out"
            )
        return f"ok: {sides}; {len(self.warnings)} warnings"


def _printable(text: str) -> str:
    """File names may hold what no output can carry."""
    return text.encode("utf-8", "replace").decode()


def report_of(
    config: TrainConfig, examined: Examination, failure: JobFailure | None
) -> ValidationReport:
    """Of a set that was read; `failure` is how a Job would end that finds this."""
    sides: dict[str, Side] = {}
    if examined.dataset is not None and examined.split is not None:
        training, held_out = (Side.of(examined.dataset.labels[rows]) for rows in examined.split)
        sides = {"training": training, "held_out": held_out}
    recall = examined.raw_recall
    return ValidationReport(
        exit_code=ExitCode.OK if failure is None else failure.code,
        reason="Valid" if failure is None else failure.reason,
        uri=config.training.data.uri,
        digest=examined.digest,
        input=None if examined.dataset is None else examined.dataset.input_spec().to_wire(),
        raw_recall_at_1=None if recall is None else round(recall, 6),
        errors=_findings([*examined.config_errors, *examined.errors]),
        warnings=_findings(examined.warnings),
        **sides,
    )


def _findings(problems: Iterable[Problem]) -> tuple[Finding, ...]:
    return tuple(map(Finding.of, problems))
