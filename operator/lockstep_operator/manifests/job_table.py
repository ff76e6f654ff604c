"""The kinds of Jobs, a row each: what holds of every Job of a kind stands here and nowhere else.

Another kind is a member of `JobKind` (its part of the name, and its label), a row here, and the
function that makes its config.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from lockstep_core.protocol import labels
from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.result import Program
from lockstep_operator.api.index import BuildSpec
from lockstep_operator.api.objects import Index, Model, Object
from lockstep_operator.api.pods import PodTemplate, Resources
from lockstep_operator.manifests.job_configs import (
    JobInputs,
    build_config,
    check_config,
    evaluate_config,
    import_config,
    replay_config,
    train_config,
    training_of,
)
from lockstep_operator.manifests.names import JobKind
from lockstep_operator.manifests.programs import ENCODER, INDEXER, TRAINER, ProgramImage
from lockstep_operator.manifests.rendezvous import rendezvous_environment, spread


@dataclass(frozen=True)
class JobSettings:
    """What a user sets of a Job's pod, and how messages name the fields (with backticks)."""

    template: PodTemplate
    template_field: str
    deadline_seconds: int
    deadline_field: str


def _of_training(model: Model, index: str | None, recipe: Index | None) -> JobSettings:
    policy = model.spec.training
    return JobSettings(
        template=policy.template if policy else PodTemplate(),
        template_field="`spec.training.template`",
        deadline_seconds=model.spec.origin.active_deadline_seconds,
        deadline_field="`spec.training.activeDeadlineSeconds`",
    )


def _of_serving(model: Model, index: str | None, recipe: Index | None) -> JobSettings:
    return JobSettings(
        template=model.spec.serving.template,
        template_field="`spec.serving.template`",
        deadline_seconds=model.spec.origin.active_deadline_seconds,
        deadline_field=f"`{model.spec.origin_field}.activeDeadlineSeconds`",
    )


def _of_build(model: Model, index: str | None, recipe: Index | None) -> JobSettings:
    build = recipe.spec.build if recipe else BuildSpec()
    return JobSettings(
        template=build.template,
        template_field=f"VectorIndex {index} `spec.build.template`",
        deadline_seconds=build.active_deadline_seconds,
        deadline_field=f"VectorIndex {index} `spec.build.activeDeadlineSeconds`",
    )


def _of_rollout(model: Model, index: str | None, recipe: Index | None) -> JobSettings:
    """An analysis does not wait longer for a pod than a weight does."""
    return JobSettings(
        template=model.spec.serving.template,
        template_field="`spec.serving.template`",
        deadline_seconds=model.spec.rollout.progress_deadline_seconds,
        deadline_field="`spec.rollout.progressDeadlineSeconds`",
    )


def _of_check(model: Model, index: str | None, recipe: Index | None) -> JobSettings:
    """Where the encoder's pods run, without their devices and by the program's own image."""
    serving = _of_serving(model, index, recipe)
    plain = serving.template.replace(image=None, resources=Resources())
    return replace(serving, template=plain)


def _no_environment(inputs: JobInputs) -> Mapping[str, str]:
    return {}


def _unchanged(job: Object, inputs: JobInputs) -> Object:
    return job


def _rendezvous(inputs: JobInputs) -> Mapping[str, str]:
    return rendezvous_environment(inputs.release, inputs.attempt, training_of(inputs).distributed)


def _spread(job: Object, inputs: JobInputs) -> Object:
    return spread(job, inputs.release, training_of(inputs).distributed)


def _marked(job: Object, inputs: JobInputs) -> Object:
    """A replay names the gate and the analysis that it measures for."""
    assert inputs.gate is not None
    job["metadata"]["labels"][labels.GATE] = inputs.gate.name
    job["metadata"]["annotations"] = {labels.ANALYSIS: inputs.analysis}
    return job


@dataclass(frozen=True)
class JobRow:
    """One kind of Job.

    `program` is the one that its result must name. `doing` says in messages what its release is
    busy with. `attempts` is the field of `status.attempts` that holds the current attempt, or the
    one of each index (`per_index`); None where its Jobs alone are counted. `check` is a command
    that must end well first. `requests` hold where the template sets none. `grace_seconds`: time
    to finish a step and to save what was done. `writes`: it may write into the store. `finish` is
    the last touch on the Job.
    """

    program: Program
    doing: str
    attempts: str | None
    image: ProgramImage
    command: tuple[str, ...]
    requests: Mapping[str, str]
    config: Callable[[JobInputs], Contract]
    settings: Callable[[Model, str | None, Index | None], JobSettings]
    per_index: bool = False
    writes: bool = True
    check: tuple[str, ...] = ()
    grace_seconds: int = 30
    environment: Callable[[JobInputs], Mapping[str, str]] = _no_environment
    finish: Callable[[Object, JobInputs], Object] = _unchanged


JOBS: Mapping[JobKind, JobRow] = {
    # The data set in, a model artifact out; `validate` comes first.
    JobKind.TRAIN: JobRow(
        program=Program.TRAIN,
        doing="trains",
        attempts="training",
        image=TRAINER,
        command=("lockstep-train", "run"),
        check=("lockstep-train", "validate"),
        requests={"cpu": "250m", "memory": "512Mi"},
        grace_seconds=60,
        config=train_config,
        settings=_of_training,
        environment=_rendezvous,
        finish=_spread,
    ),
    # The artifact of another store in, this store's artifact out.
    JobKind.IMPORT: JobRow(
        program=Program.IMPORT,
        doing="is imported",
        attempts="importing",
        image=ENCODER,
        command=("lockstep-encoder", "import"),
        requests={"cpu": "100m", "memory": "256Mi"},
        config=import_config,
        settings=_of_serving,
    ),
    # Candidate and stable over the same held-out set.
    JobKind.EVALUATE: JobRow(
        program=Program.EVALUATE,
        doing="is measured",
        attempts="evaluating",
        image=ENCODER,
        command=("lockstep-encoder", "evaluate"),
        requests={"cpu": "100m", "memory": "256Mi"},
        config=evaluate_config,
        settings=_of_serving,
    ),
    # The corpus in, one index artifact out.
    JobKind.BUILD: JobRow(
        program=Program.BUILD,
        doing="is indexed",
        attempts="indexing",
        per_index=True,
        image=INDEXER,
        command=("lockstep-indexer", "build"),
        requests={"cpu": "100m", "memory": "256Mi"},
        config=build_config,
        settings=_of_build,
    ),
    # Held-out queries through the release's own Service.
    JobKind.REPLAY: JobRow(
        program=Program.REPLAY,
        doing="is measured live",
        attempts=None,
        image=ENCODER,
        command=("lockstep-encoder", "replay"),
        requests={"cpu": "50m", "memory": "128Mi"},
        config=replay_config,
        settings=_of_rollout,
        finish=_marked,
    ),
    # What a release serves from, read byte by byte where it is stored.
    JobKind.CHECK: JobRow(
        program=Program.CHECK,
        doing="is checked",
        attempts=None,
        image=ENCODER,
        command=("lockstep-encoder", "check"),
        requests={"cpu": "50m", "memory": "128Mi"},
        config=check_config,
        settings=_of_check,
        writes=False,
    ),
}
