"""The Job of one attempt, created once and never changed: its pod, and who retries what."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep_core.protocol.environment import PROGRESS_PORT
from lockstep_core.protocol.exitcodes import UNCOUNTED
from lockstep_operator.api.kinds import JOB
from lockstep_operator.api.objects import Object
from lockstep_operator.manifests.job_configs import JobInputs
from lockstep_operator.manifests.job_table import JOBS, JobRow
from lockstep_operator.manifests.metadata import metadata, owned_by_release, standard_labels
from lockstep_operator.manifests.names import JobKind, job_name
from lockstep_operator.manifests.pods import (
    PROGRESS_PORT_NAME,
    ProgramSpec,
    pod_template,
)
from lockstep_operator.manifests.programs import CHECK, CONTAINER


def attempt_job(kind: JobKind, inputs: JobInputs, *, pull_secrets: Sequence[str] = ()) -> Object:
    """One attempt of one kind of Job, named after its gate or its index where it has one.

    Raises ValueError where the release is not one that has such a Job, or not yet (see the kind's
    function of `job_configs`).
    """
    row, release = JOBS[kind], inputs.release
    program = _program(row, inputs)
    index = inputs.index.name if inputs.index else None
    suffix = inputs.gate.name if inputs.gate else index
    settings = row.settings(inputs.model, index, inputs.recipe)
    labels = standard_labels(
        release.spec.model, kind, release=release.name, index=index, attempt=inputs.attempt
    )
    job = {
        **JOB.type_meta,
        "metadata": metadata(
            job_name(release.name, kind, inputs.attempt, suffix),
            release.namespace,
            labels,
            owned_by_release(release),
        ),
        # No ttl: the Job is evidence until its release goes, and its name must stay taken.
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": settings.deadline_seconds,
            # Two pods of one Job never write at the same time.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _failure_rules(program)},
            "template": pod_template(
                program,
                settings.template,
                labels,
                pull_secrets=pull_secrets,
                restartPolicy="Never",
            ),
        },
    }
    return row.finish(job, inputs)


def _program(row: JobRow, inputs: JobInputs) -> ProgramSpec:
    release = inputs.release
    return ProgramSpec(
        command=row.command,
        image=row.image.of(inputs.images or release.spec.images),
        config=row.config(inputs),
        artifacts=release.spec.artifacts,
        writes_artifacts=row.writes,
        port=(PROGRESS_PORT_NAME, PROGRESS_PORT),
        requests=row.requests,
        grace_seconds=row.grace_seconds,
        check=row.check,
        environment=row.environment(inputs),
    )


def _failure_rules(program: ProgramSpec) -> list[Object]:
    """Who retries what.

    The operator retries failures: a failed attempt is a failed Job (`backoffLimit: 0`) and the
    next attempt is another Job. A disruption (a drained or lost node, a preemption, exit 75) is
    not a failure, and an evicted pod is often gone before anyone can ask it why. The Job
    controller holds the pod by a finalizer until it has looked, so it alone replaces disrupted
    pods, inside the same attempt, with the operator up or down; the deadline bounds it.
    Every other exit code fails the Job at once by the last rule, whose condition message names
    the code and so outlives the pod. A check before the program is judged by the same rules.
    """
    uncounted = sorted(int(code) for code in UNCOUNTED)
    ours = [CONTAINER, CHECK] if program.check else [CONTAINER]
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        *(
            {
                "action": action,
                "onExitCodes": {"containerName": name, "values": uncounted, "operator": operator},
            }
            for name in ours
            for action, operator in (("Ignore", "In"), ("FailJob", "NotIn"))
        ),
    ]
