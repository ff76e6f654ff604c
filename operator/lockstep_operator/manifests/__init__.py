"""Pure builders of Kubernetes objects: typed objects in, dicts out, the same bytes each time.

They hold only fields that the operator owns, for server-side apply; none reads a clock or a file.
"""

from lockstep_operator.manifests.canary import follows_index
from lockstep_operator.manifests.children import built_children
from lockstep_operator.manifests.job_configs import JobInputs
from lockstep_operator.manifests.job_table import JOBS, JobSettings
from lockstep_operator.manifests.jobs import attempt_job
from lockstep_operator.manifests.names import (
    JobKind,
    encoder_name,
    index_name,
    job_name,
    release_name,
    rendezvous_name,
    short_name,
)
from lockstep_operator.manifests.releases import release_manifest
from lockstep_operator.manifests.rendezvous import rendezvous_service
from lockstep_operator.manifests.scaling import encoder_autoscaler
from lockstep_operator.manifests.serving import (
    encoder_deployment,
    encoder_service,
    entry_service,
    index_deployment,
    index_service,
)

__all__ = [
    "JOBS",
    "JobInputs",
    "JobKind",
    "JobSettings",
    "attempt_job",
    "built_children",
    "encoder_autoscaler",
    "encoder_deployment",
    "encoder_name",
    "encoder_service",
    "entry_service",
    "follows_index",
    "index_deployment",
    "index_name",
    "index_service",
    "job_name",
    "release_manifest",
    "release_name",
    "rendezvous_name",
    "rendezvous_service",
    "short_name",
]
