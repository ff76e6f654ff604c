"""What a program reports when it ends: at most 4 KiB of JSON in the pod's termination message.

The same JSON is kept in the artifact store under the release's uid, so a Job that is run again
after its pod was lost re-emits the facts instead of computing them twice.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from lockstep_core.protocol.base import Contract, Sha256, SpaceID
from lockstep_core.protocol.environment import TERMINATION_LIMIT
from lockstep_core.protocol.exitcodes import ExitCode

RESULT_SCHEMA = "lockstep.dev/result/v1"
# As many as fit into a termination message.
MAX_DAMAGED = 3


class Program(StrEnum):
    TRAIN = "Train"
    IMPORT = "Import"
    EVALUATE = "Evaluate"
    BUILD = "Build"
    REPLAY = "Replay"
    CHECK = "Check"
    SERVE_ENCODER = "ServeEncoder"
    SERVE_INDEX = "ServeIndex"


Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class SampleStatistics(Contract):
    """Sufficient statistics of n independent per-query values (a value lies in [-1, 1])."""

    n: int = Field(ge=0)
    mean: float = Field(ge=-1, le=1)
    standard_deviation: float = Field(ge=0, le=2)


class FindingName(StrEnum):
    """What can go wrong with a training that still ends well."""

    COLLAPSE = "Collapse"
    SLOW_CONVERGENCE = "SlowConvergence"
    OVERFITTING = "Overfitting"
    NOISY_NEGATIVES = "NoisyNegatives"
    BUDGET = "Budget"


class Finding(Contract):
    """Something that a person should know of a training: the number, its bound, what to try.

    `value` is None where the number was not finite.
    """

    name: FindingName
    step: int = Field(ge=0)
    value: float | None = None
    bound: float
    message: Annotated[str, StringConstraints(min_length=1, max_length=360)]


class TrainingFacts(Contract):
    """The model artifact that training published. An import has no steps and no items."""

    artifact_digest: Sha256
    model_digest: Sha256
    preprocessing_digest: Sha256
    pooling: Word
    normalisation: Word
    dimension: int = Field(ge=1)
    space_id: SpaceID = Field(alias="spaceID")
    steps: int = Field(ge=0)
    train_items: int = Field(ge=0)
    seconds: float = Field(ge=0)
    metrics: dict[str, float] = Field(default_factory=dict, max_length=24)
    resumed_from_step: int | None = Field(
        default=None, ge=0, description="Where this run took up what a lost pod had saved."
    )
    findings: tuple[Finding, ...] = Field(default=(), max_length=len(FindingName))


class RecallFacts(Contract):
    """Relevance recall@k on the held-out set: per-query statistics, and paired differences."""

    k: int = Field(ge=1)
    candidate: SampleStatistics
    baseline: SampleStatistics
    gain_over_baseline: SampleStatistics
    stable: SampleStatistics | None = None
    gain_over_stable: SampleStatistics | None = None


class EvaluationFacts(Contract):
    """What the candidate's embeddings of the held-out set are like."""

    artifact_digest: Sha256
    dataset_digest: Sha256
    items: int = Field(ge=0)
    classes: int = Field(ge=0)
    recall: tuple[RecallFacts, ...]
    variance: float
    mean_cosine: float


class BuildFacts(Contract):
    """The index artifact that a build published, as re-opened from the store."""

    index: str
    build_digest: Sha256
    space_id: SpaceID = Field(alias="spaceID")
    source_digest: Sha256
    rows: int = Field(ge=0)
    expected_rows: int = Field(ge=0)
    dimension: int = Field(ge=1)
    bytes: int = Field(ge=0)
    recall_k: int = Field(ge=1)
    recall: SampleStatistics
    seconds: float = Field(ge=0)


class ReplayFacts(Contract):
    """Relevance recall@k of held-out queries, as the servers of a release answered them.

    `sent` queries were answered; those of a class that the index does not hold measure nothing, nor
    those with more copies there than a search returns, so `recall` may be of fewer.
    """

    index: str
    build_digest: Sha256
    space_id: SpaceID = Field(alias="spaceID")
    dataset_digest: Sha256
    k: int = Field(ge=1)
    sent: int = Field(ge=0)
    recall: SampleStatistics
    seconds: float = Field(ge=0)


class Damage(Contract):
    """An artifact that was published and is not whole any more: which file of it, and what is
    wrong. `file` is None for its manifest."""

    artifact: Sha256
    file: Annotated[str, StringConstraints(max_length=256)] | None = None
    message: Annotated[str, StringConstraints(max_length=640)] = ""


class CheckFacts(Contract):
    """What a check of stored artifacts read: how many, how many bytes, which are damaged.

    `damaged` holds the first `MAX_DAMAGED`; `more` counts the rest.
    """

    artifacts: int = Field(ge=0)
    bytes: int = Field(ge=0)
    damaged: tuple[Damage, ...] = Field(default=(), max_length=MAX_DAMAGED)
    more: int = Field(default=0, ge=0)
    seconds: float = Field(ge=0)


Reason = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]{0,63}$")]


class Result(Contract):
    """How a program ended: `reason` for machines, `message` (what, and the fix) for people."""

    schema_: str = Field(default=RESULT_SCHEMA, alias="schema")
    program: Program
    exit_code: ExitCode
    reason: Reason
    message: Annotated[str, StringConstraints(max_length=1500)] = ""
    training: TrainingFacts | None = None
    evaluation: EvaluationFacts | None = None
    build: BuildFacts | None = None
    replay: ReplayFacts | None = None
    check: CheckFacts | None = None
    damage: Damage | None = Field(
        default=None, description="The artifact that was refused, where that is why it ended."
    )

    def to_json(self) -> str:
        """Compact JSON, at most `TERMINATION_LIMIT` bytes; raises ValueError when larger."""
        text = self.model_dump_json(by_alias=True, exclude_none=True)
        if len(text.encode()) > TERMINATION_LIMIT:
            raise ValueError(f"result of {len(text.encode())} bytes exceeds {TERMINATION_LIMIT}")
        return text

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Parses a termination message; raises `pydantic.ValidationError` on anything else."""
        return cls.model_validate_json(text)
