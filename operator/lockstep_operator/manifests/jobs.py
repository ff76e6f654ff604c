"""The Job around a program: one attempt, and who retries what."""

from __future__ import annotations

from collections.abc import Sequence

from lockstep_core.protocol.exitcodes import UNCOUNTED
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.api.pods import PodTemplate
from lockstep_operator.manifests.metadata import (
    Component,
    metadata,
    owned_by_release,
    standard_labels,
)
from lockstep_operator.manifests.names import JobKind, job_name
from lockstep_operator.manifests.pods import CHECK, CONTAINER, Program, pod_template


def attempt_job(
    release: Release,
    kind: JobKind,
    attempt: int,
    program: Program,
    *,
    template: PodTemplate,
    deadline: int,
    index: str | None = None,
    suffix: str | None = None,
    pull_secrets: Sequence[str] = (),
) -> Object:
    """One attempt of one kind of Job. `suffix` ends its name where it is not the index's."""
    labels = standard_labels(
        release.spec.model,
        Component(kind.value),
        release=release.name,
        index=index,
        attempt=attempt,
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(
            job_name(release.name, kind, attempt, suffix or index),
            release.namespace,
            labels,
            owned_by_release(release),
        ),
        # No ttl: the Job is evidence until its release goes, and its name must stay taken.
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline,
            # Two pods of one Job never write at the same time.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _failure_rules(program)},
            "template": pod_template(
                program, template, labels, pull_secrets=pull_secrets, restartPolicy="Never"
            ),
        },
    }


def _failure_rules(program: Program) -> list[Object]:
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
