"""The kinds that the operator reads and writes, and their addresses at the API server."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_core.protocol.labels import MODEL
from lockstep_operator.api.objects import API_VERSION
from lockstep_operator.manifests.routes import GATEWAY_API_VERSION
from lockstep_operator.manifests.scaling import AUTOSCALING_API_VERSION


@dataclass(frozen=True)
class ResourceKind:
    """One kind. `selector` narrows lists and watches to objects of ours."""

    api_version: str
    kind: str
    plural: str
    selector: str | None = None

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """The URL path of the collection, of one object or of its subresource."""
        root = "/api" if "/" not in self.api_version else "/apis"
        parts = [root, self.api_version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, sub) if part is not None]
        return "/".join(parts)


EMBEDDING_MODEL = ResourceKind(API_VERSION, "EmbeddingModel", "embeddingmodels")
VECTOR_INDEX = ResourceKind(API_VERSION, "VectorIndex", "vectorindexes")
EMBEDDING_RELEASE = ResourceKind(API_VERSION, "EmbeddingRelease", "embeddingreleases")
JOB = ResourceKind("batch/v1", "Job", "jobs", MODEL)
POD = ResourceKind("v1", "Pod", "pods", MODEL)
DEPLOYMENT = ResourceKind("apps/v1", "Deployment", "deployments", MODEL)
SERVICE = ResourceKind("v1", "Service", "services", MODEL)
AUTOSCALER = ResourceKind(
    AUTOSCALING_API_VERSION, "HorizontalPodAutoscaler", "horizontalpodautoscalers", MODEL
)
HTTP_ROUTE = ResourceKind(GATEWAY_API_VERSION, "HTTPRoute", "httproutes", MODEL)

# Owners come first: a list of children is never older than the list of what owns them.
WATCHED = (
    EMBEDDING_MODEL,
    VECTOR_INDEX,
    EMBEDDING_RELEASE,
    JOB,
    POD,
    DEPLOYMENT,
    SERVICE,
    AUTOSCALER,
)

# Kinds that a cluster may lack, now or always: `runtime.optional` watches them.
OPTIONAL = (HTTP_ROUTE,)

# Read by name, never watched.
GATEWAY = ResourceKind(GATEWAY_API_VERSION, "Gateway", "gateways")
GATEWAY_CLASS = ResourceKind(GATEWAY_API_VERSION, "GatewayClass", "gatewayclasses")
EVENT = ResourceKind("events.k8s.io/v1", "Event", "events")
LEASE = ResourceKind("coordination.k8s.io/v1", "Lease", "leases")

_BY_KIND = {(known.api_version, known.kind): known for known in (*WATCHED, *OPTIONAL, EVENT, LEASE)}


def resource_of(api_version: str, kind: str) -> ResourceKind:
    """The address of a kind. Raises `KeyError` for one that the operator does not handle."""
    return _BY_KIND[(api_version, kind)]
