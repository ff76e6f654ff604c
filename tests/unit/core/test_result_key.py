"""Which kept result serves a Job: every field of its config is part of the key but a few."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_core.jobs.result_key import is_success_of, result_key
from lockstep_core.protocol.config import (
    MAX_RECALL_K,
    MAX_RECALLS,
    BuildConfig,
    EvaluateConfig,
    JobConfig,
    TrainConfig,
)
from lockstep_core.protocol.environment import TERMINATION_LIMIT
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import (
    EvaluationFacts,
    Program,
    RecallFacts,
    Result,
    SampleStatistics,
)
from lockstep_core.quality.statistics import DIGITS

pytestmark = pytest.mark.unit

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")
DATA = {"uri": "file:///artifacts/a.npz", "format": "NPZ"}
JOB = {
    "release": "glyphs-r1",
    "releaseUID": "uid-1",
    "attempt": 1,
    "artifacts": {"uri": "file:///artifacts", "claimName": "artifacts"},
}
CONFIGS: dict[Program, tuple[type[JobConfig], dict[str, Any]]] = {
    Program.TRAIN: (
        TrainConfig,
        {"training": {"data": DATA, "encoder": {"kind": "CNN"}, "budget": {"maxSteps": 4}}},
    ),
    Program.EVALUATE: (EvaluateConfig, {"artifactDigest": ONE, "data": DATA, "recallAt": [1]}),
    Program.BUILD: (
        BuildConfig,
        {
            "artifactDigest": ONE,
            "spaceID": "0" * 12,
            "index": "glyphs",
            "source": DATA,
            "recipe": {},
            "objectives": {},
        },
    ),
}
PINNED = {**DATA, "digest": TWO}
CHANGES = [
    (Program.TRAIN, {"training": {**CONFIGS[Program.TRAIN][1]["training"], "seed": 1}}),
    (Program.TRAIN, {"training": {**CONFIGS[Program.TRAIN][1]["training"], "data": PINNED}}),
    (Program.EVALUATE, {"artifactDigest": TWO}),
    (Program.EVALUATE, {"stableArtifactDigest": TWO}),
    (Program.EVALUATE, {"recallAt": [1, 10]}),
    (Program.EVALUATE, {"data": PINNED}),
    (Program.EVALUATE, {"data": {**DATA, "split": {"seed": 1}}}),
    (Program.EVALUATE, {"attempt": 2}),
    (Program.BUILD, {"artifactDigest": TWO}),
    (Program.BUILD, {"spaceID": "1" * 12}),
    (Program.BUILD, {"index": "other"}),
    (Program.BUILD, {"source": PINNED}),
    (Program.BUILD, {"recipe": {"type": "Flat"}}),
    (Program.BUILD, {"objectives": {"recall": {"k": 20}}}),
    (Program.BUILD, {"seed": 1}),
]


def key(program: Program, **changes: Any) -> str:
    kind, fields = CONFIGS[program]
    return result_key(program, kind.model_validate({**JOB, **fields, **changes}))


@pytest.mark.parametrize(("program", "change"), CHANGES, ids=str)
def test_other_work_has_another_key(program: Program, change: dict[str, Any]) -> None:
    assert key(program) != key(program, **change)


@pytest.mark.parametrize("program", CONFIGS)
def test_whose_and_where_are_not_asked(program: Program) -> None:
    elsewhere = {"uri": "file:///mnt", "claimName": "other"}
    assert key(program) == key(
        program, release="glyphs-r2", releaseUID="uid-2", artifacts=elsewhere
    )
    assert len({key(each) for each in CONFIGS}) == len(CONFIGS)


@pytest.mark.parametrize("program", [Program.TRAIN, Program.BUILD])
def test_an_artifact_answers_every_attempt(program: Program) -> None:
    assert key(program) == key(program, attempt=7)


def test_a_training_is_the_same_whatever_it_is_compared_with() -> None:
    assert key(Program.TRAIN) == key(Program.TRAIN, stableArtifactDigest=TWO)


def test_a_default_that_is_written_out_asks_the_same() -> None:
    training = {**CONFIGS[Program.TRAIN][1]["training"], "loss": {"margin": "0.2"}}
    assert key(Program.TRAIN) == key(Program.TRAIN, training=training)


def largest(recalls: int) -> Result:
    """Every number as long as its field can be after rounding."""
    statistics = SampleStatistics(
        n=10**12, mean=-1 + 10**-DIGITS, standard_deviation=2 - 10**-DIGITS
    )
    one = RecallFacts(
        k=MAX_RECALL_K,
        candidate=statistics,
        baseline=statistics,
        gain_over_baseline=statistics,
        stable=statistics,
        gain_over_stable=statistics,
    )
    facts = EvaluationFacts(
        artifact_digest=ONE,
        dataset_digest=TWO,
        items=10**12,
        classes=10**12,
        recall=(one,) * recalls,
        variance=1 / 3,
        mean_cosine=-1 / 3,
    )
    return Result(
        program=Program.EVALUATE, exit_code=ExitCode.OK, reason="AlreadyDone", evaluation=facts
    )


def test_the_most_that_can_be_asked_for_fits_into_a_termination_message() -> None:
    assert len(largest(MAX_RECALLS).to_json().encode()) <= TERMINATION_LIMIT
    with pytest.raises(ValueError, match="exceeds 4096"):
        largest(MAX_RECALLS + 2).to_json()


@pytest.mark.parametrize(
    "asked", [list(range(1, MAX_RECALLS + 2)), [1, 1], [0], [MAX_RECALL_K + 1], []], ids=str
)
def test_more_than_fits_cannot_be_asked(asked: list[int]) -> None:
    with pytest.raises(ValueError, match="recallAt"):
        key(Program.EVALUATE, recallAt=asked)


def test_only_a_success_of_the_same_program_with_its_facts_is_an_answer() -> None:
    good = largest(1)
    assert is_success_of(good, Program.EVALUATE)
    assert not is_success_of(good, Program.TRAIN)
    for change in ({"evaluation": None}, {"exit_code": ExitCode.INTERNAL}):
        assert not is_success_of(good.model_copy(update=change), Program.EVALUATE)
