"""How the pods of one training find each other: an Indexed Job and a headless Service."""

from __future__ import annotations

from lockstep_core.protocol.environment import RENDEZVOUS_PORT
from lockstep_core.protocol.training import DistributedSpec
from lockstep_operator.api.kinds import SERVICE
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.manifests.metadata import (
    metadata,
    owned_by_release,
    selector_labels,
    standard_labels,
)
from lockstep_operator.manifests.names import JobKind, job_name, rendezvous_name


def rendezvous_environment(
    release: Release, attempt: int, distributed: DistributedSpec
) -> dict[str, str]:
    """The rendezvous of the pods of an attempt: its pod 0. Nothing for a single pod."""
    if distributed.pods == 1:
        return {}
    host = f"{job_name(release.name, JobKind.TRAIN, attempt)}-0"
    return {
        "MASTER_ADDR": f"{host}.{rendezvous_name(release.name)}",
        "MASTER_PORT": str(RENDEZVOUS_PORT),
    }


def spread(job: Object, release: Release, distributed: DistributedSpec) -> Object:
    """The Job as one of `distributed.pods` pods, each with an index and a name of its own.

    A pod that is disrupted, or whose program ends with 75, is replaced by the Job controller alone.
    The others miss it, end with 75 as well and are replaced, and all go on from the newest
    checkpoint. Any other exit code of any pod fails the Job at once, and the operator retries.
    """
    if distributed.pods == 1:
        return job
    job["spec"] |= {
        "completionMode": "Indexed",
        "completions": distributed.pods,
        "parallelism": distributed.pods,
    }
    job["spec"]["template"]["spec"]["subdomain"] = rendezvous_name(release.name)
    return job


def rendezvous_service(release: Release) -> Object:
    """Gives the pods of all attempts a name each, before they are ready."""
    labels = standard_labels(release.spec.model, JobKind.TRAIN, release=release.name)
    return {
        **SERVICE.type_meta,
        "metadata": metadata(
            rendezvous_name(release.name), release.namespace, labels, owned_by_release(release)
        ),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector_labels(release.spec.model, release.name, JobKind.TRAIN),
            "ports": [
                {
                    "name": "rendezvous",
                    "port": RENDEZVOUS_PORT,
                    "targetPort": RENDEZVOUS_PORT,
                    "protocol": "TCP",
                }
            ],
        },
    }
