"""The kinds that the operator reads and writes, a row each: address, watch, owner, end and rights.

Handlers, lists, what a pass observes, what goes when a release ends and how a builder names the
kind are read from here; that the chart grants exactly these rights is tested. A child kind is a
row, its builder and its rule in the chart. A kind of ours has a row of `crd.KINDS` as well; what it
is, asks and tells stands in modules that have its name (`ResourceKind.module`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from lockstep_core.protocol.labels import GROUP, MODEL
from lockstep_operator.api.objects import API_VERSION, Object

READ = ("get", "list", "watch")
# Of what cannot be changed, `patch` restores a label that was removed by hand, and nothing else.
WRITE = ("create", "patch", "delete")


class Watch(Enum):
    """Whether all objects of a kind are known at any time."""

    ALWAYS = auto()
    # Kinds that a cluster may lack, now or always: `runtime.optional` watches them.
    WHERE_SERVED = auto()
    # Read by name or only written.
    NEVER = auto()


class Scope(Enum):
    """Where the operator's rights to a kind hold."""

    WATCHED = auto()  # in the namespaces that it watches
    CLUSTER = auto()  # of the whole cluster: no Role can give them
    OWN = auto()  # in the operator's own namespace


def _by_label(body: Object) -> str | None:
    return (body["metadata"].get("labels") or {}).get(MODEL)


def _by_name(body: Object) -> str | None:
    return str(body["metadata"]["name"])


def _by_reference(body: Object) -> str | None:
    spec = body.get("spec") or {}
    return (spec.get("modelRef") or spec.get("targetRef") or {}).get("name")


def _by_field(body: Object) -> str | None:
    return (body.get("spec") or {}).get("model")


@dataclass(frozen=True)
class ResourceKind:
    """One kind.

    `selector` is the label that narrows lists and watches to objects of ours. `model_of` says to
    the aggregate of which model an object belongs. `removal` is the place of a kind in the order
    in which the children of an ended release go; None: they do not go with it. `builder` is the
    module of `manifests` that makes them, where release and model alone decide them. `subresources`
    are those that the operator writes, each with its verb.
    """

    api_version: str
    kind: str
    plural: str
    selector: str | None = None
    watch: Watch = Watch.NEVER
    model_of: Callable[[Object], str | None] = _by_label
    removal: int | None = None
    builder: str | None = None
    verbs: tuple[str, ...] = ()
    subresources: tuple[tuple[str, str], ...] = ()
    scope: Scope = Scope.WATCHED

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    @property
    def module(self) -> str:
        """`vector_index` of VectorIndex."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.kind).lower()

    @property
    def type_meta(self) -> Object:
        """The first two fields of an object of this kind."""
        return {"apiVersion": self.api_version, "kind": self.kind}

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """The URL path of the collection, of one object or of its subresource."""
        root = "/apis" if self.group else "/api"
        parts = [root, self.api_version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, sub) if part is not None]
        return "/".join(parts)


def _child(
    api_version: str,
    kind: str,
    plural: str,
    *,
    removal: int | None = None,
    builder: str | None = None,
) -> ResourceKind:
    """What the operator makes: labelled with its model, watched, written and removed."""
    return ResourceKind(
        api_version,
        kind,
        plural,
        selector=MODEL,
        watch=Watch.ALWAYS,
        removal=removal,
        builder=builder,
        verbs=READ + WRITE,
    )


_STATUS = ("status", "patch")
# blockOwnerDeletion asks for it where OwnerReferencesPermissionEnforcement is on.
_OWNER = ("finalizers", "update")
GATEWAY_GROUP = "gateway.networking.k8s.io"
_GATEWAY_API = f"{GATEWAY_GROUP}/v1"

EMBEDDING_MODEL = ResourceKind(
    API_VERSION,
    "EmbeddingModel",
    "embeddingmodels",
    watch=Watch.ALWAYS,
    model_of=_by_name,
    verbs=READ,
    subresources=(_STATUS, _OWNER),
)
VECTOR_INDEX = ResourceKind(
    API_VERSION,
    "VectorIndex",
    "vectorindexes",
    watch=Watch.ALWAYS,
    model_of=_by_reference,
    verbs=READ,
    subresources=(_STATUS,),
)
EMBEDDING_RELEASE = ResourceKind(
    API_VERSION,
    "EmbeddingRelease",
    "embeddingreleases",
    watch=Watch.ALWAYS,
    model_of=_by_field,
    verbs=READ + WRITE,
    subresources=(_STATUS, _OWNER),
)
DRIFT_POLICY = ResourceKind(
    API_VERSION,
    "DriftPolicy",
    "driftpolicies",
    watch=Watch.ALWAYS,
    model_of=_by_reference,
    verbs=READ,
    subresources=(_STATUS, _OWNER),
)
# Jobs are evidence: `decide.releases.retention` says of each when it goes.
JOB = _child("batch/v1", "Job", "jobs")
POD = ResourceKind("v1", "Pod", "pods", MODEL, Watch.ALWAYS, verbs=("list", "watch"))
DEPLOYMENT = _child("apps/v1", "Deployment", "deployments", removal=1)
SERVICE = _child("v1", "Service", "services", removal=2)
AUTOSCALER = _child(
    "autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", removal=0
)
HTTP_ROUTE = ResourceKind(
    _GATEWAY_API, "HTTPRoute", "httproutes", MODEL, Watch.WHERE_SERVED, verbs=READ + WRITE
)
GATEWAY = ResourceKind(_GATEWAY_API, "Gateway", "gateways", verbs=("get",))
GATEWAY_CLASS = ResourceKind(
    _GATEWAY_API, "GatewayClass", "gatewayclasses", verbs=("get",), scope=Scope.CLUSTER
)
# What a drift policy has learned, owned by it and found by its name: never listed, never watched.
CONFIG_MAP = ResourceKind("v1", "ConfigMap", "configmaps", verbs=("create", "get", "patch"))
# Of the core group: events.k8s.io/v1 is the same object, and refuses the older fields that
# `kubectl describe` and `--sort-by=.lastTimestamp` read.
EVENT = ResourceKind("v1", "Event", "events", verbs=("list", "create"))
LEASE = ResourceKind(
    "coordination.k8s.io/v1", "Lease", "leases", verbs=("create", "get", "update"), scope=Scope.OWN
)

# Owners come first: a list of children is never older than the list of what owns them.
KINDS = (
    EMBEDDING_MODEL,
    VECTOR_INDEX,
    EMBEDDING_RELEASE,
    DRIFT_POLICY,
    JOB,
    POD,
    DEPLOYMENT,
    SERVICE,
    AUTOSCALER,
    HTTP_ROUTE,
    GATEWAY,
    GATEWAY_CLASS,
    CONFIG_MAP,
    EVENT,
    LEASE,
)
WATCHED = tuple(kind for kind in KINDS if kind.watch is Watch.ALWAYS)
OPTIONAL = tuple(kind for kind in KINDS if kind.watch is Watch.WHERE_SERVED)
# Kinds of ours beside those that every pass is about: people write them, and each asks something
# more of a model. `api.<module>` has `parse`; see `decide.policies` for the rest.
POLICIES = tuple(
    kind
    for kind in KINDS
    if kind.group == GROUP and kind not in (EMBEDDING_MODEL, VECTOR_INDEX, EMBEDDING_RELEASE)
)
# What a pass observes beside the model.
AGGREGATE = tuple(kind for kind in WATCHED + OPTIONAL if kind is not EMBEDDING_MODEL)
# Children of a release that `manifests.children` makes.
BUILT = tuple(kind for kind in KINDS if kind.builder is not None)
# In the order in which the children of an ended release go.
REMOVED = tuple(
    sorted((kind for kind in KINDS if kind.removal is not None), key=lambda kind: kind.removal or 0)
)

_BY_KIND = {(known.api_version, known.kind): known for known in KINDS}


def resource_of(api_version: str, kind: str) -> ResourceKind:
    """The address of a kind. Raises `KeyError` for one that the operator does not handle."""
    return _BY_KIND[(api_version, kind)]
