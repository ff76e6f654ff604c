"""A toy kind of ours: EntryAlias, another Service name for the release that serves."""

from tests.unit.additions.edits import Addition, NewFile, after, before, instead

KINDS = "operator/lockstep_operator/api/kinds.py"
CRD = "operator/lockstep_operator/api/crd.py"
RIGHTS = "charts/lockstep/templates/_helpers.tpl"

API = NewFile(
    "operator/lockstep_operator/api/entry_alias.py",
    '''
"""EntryAlias: another name for the entry point of a model."""

from __future__ import annotations

from pydantic import Field

from lockstep_core.protocol.base import Contract, KindName
from lockstep_operator.api.index import ModelReference
from lockstep_operator.api.objects import Object, Resource
from lockstep_operator.api.objects import parse as parse_as
from lockstep_operator.api.status import Condition


class EntryAliasSpec(Contract):
    """The desired alias."""

    model_ref: ModelReference = Field(description="The model that is reached by it.")
    service: KindName = Field(description="Name of the Service.")


class EntryAliasStatus(Contract):
    """Which release answers by it."""

    observed_generation: int = -1
    phase: str | None = None
    message: str | None = None
    release: str | None = None
    conditions: list[Condition] | None = None


Alias = Resource[EntryAliasSpec, EntryAliasStatus]


def parse(raw: Object) -> Alias:
    """Raises `pydantic.ValidationError` when the spec is not one that this version understands."""
    return parse_as(raw, EntryAliasSpec, EntryAliasStatus)
''',
    named="operator/lockstep_operator/api/<kind>.py",
)
RULES = NewFile(
    "operator/lockstep_operator/decide/policies/entry_alias.py",
    '''
"""EntryAlias: its Service selects the encoder pods of the release that serves."""

from __future__ import annotations

from lockstep_operator.api.entry_alias import Alias
from lockstep_operator.api.kinds import ENTRY_ALIAS, SERVICE
from lockstep_operator.api.objects import Object, Release
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.vocabulary.compare import difference
from lockstep_operator.manifests.metadata import (
    Component,
    metadata,
    selector_labels,
    standard_labels,
)


def plan(context: ReconcileContext, policies: tuple[Alias, ...]) -> None:
    """Plans the Service of each alias, once a release serves."""
    stable = context.stable
    if stable is None:
        return
    for alias in policies:
        manifest = service(alias, stable)
        live = context.snapshot.child(SERVICE.kind, alias.spec.service, alias.uid)
        if live is None or difference(manifest, live) is not None:
            context.apply.append(manifest)


def service(alias: Alias, stable: Release) -> Object:
    model = stable.spec.model
    owner = {**ENTRY_ALIAS.type_meta, "name": alias.name, "uid": alias.uid, "controller": True}
    labels = standard_labels(model, Component.ENTRY)
    return {
        **SERVICE.type_meta,
        "metadata": metadata(alias.spec.service, alias.namespace, labels, [owner]),
        "spec": {"selector": selector_labels(model, stable.name, Component.ENCODER)},
    }
''',
    named="operator/lockstep_operator/decide/policies/<kind>.py",
)
STATUS = NewFile(
    "operator/lockstep_operator/decide/status/entry_alias_status.py",
    '''
"""`EntryAlias.status`: which release answers by its name."""

from __future__ import annotations

from lockstep_operator.api.entry_alias import Alias, EntryAliasStatus
from lockstep_operator.api.model import Phase
from lockstep_operator.api.objects import Object
from lockstep_operator.decide.context.context import ReconcileContext
from lockstep_operator.decide.status.kstatus import Summary
from lockstep_operator.decide.vocabulary.conditions import conditions
from lockstep_operator.decide.vocabulary.reasons import Reason


def project(context: ReconcileContext, policy: Alias) -> EntryAliasStatus:
    stable = context.stable
    if stable is None:
        summary = Summary(Phase.PENDING, Reason.NO_RELEASE, "No release serves yet.")
    else:
        message = f"{stable.name} answers as {policy.spec.service}."
        summary = Summary(Phase.HEALTHY, Reason.HEALTHY, message, ready=True)
    release = stable.name if stable else None
    return _status(summary, policy, context.now).replace(release=release)


def without_model(policy: Alias, model: str, now: str) -> EntryAliasStatus:
    message = f"There is no EmbeddingModel {model}."
    return _status(Summary(Phase.PENDING, Reason.MODEL_NOT_FOUND, message), policy, now)


def broken(raw: Object, problem: str, now: str) -> EntryAliasStatus:
    return EntryAliasStatus(
        observed_generation=raw["metadata"]["generation"], phase=Phase.DEGRADED, message=problem
    )


def _status(summary: Summary, policy: Alias, now: str) -> EntryAliasStatus:
    before, generation = policy.status.conditions, policy.generation
    return EntryAliasStatus(
        observed_generation=generation,
        phase=summary.phase,
        message=summary.message,
        conditions=conditions(summary.states(), before, generation, now),
    )
''',
    named="operator/lockstep_operator/decide/status/<kind>_status.py",
)

ADDITION = Addition(
    what="a kind of ours",
    changes=(
        API,
        before(
            KINDS,
            "# Jobs are evidence: `decide.releases.retention` says of each when it goes.",
            """
ENTRY_ALIAS = ResourceKind(
    API_VERSION,
    "EntryAlias",
    "entryaliases",
    watch=Watch.ALWAYS,
    model_of=_by_reference,
    verbs=READ,
    subresources=(_STATUS,),
)
""",
        ),
        after(
            KINDS,
            "KINDS = (\n    EMBEDDING_MODEL,\n    VECTOR_INDEX,\n    EMBEDDING_RELEASE,",
            "    ENTRY_ALIAS,",
        ),
        after(
            CRD,
            "from lockstep_core.protocol.labels import GROUP",
            "from lockstep_operator.api.entry_alias import EntryAliasSpec, EntryAliasStatus",
        ),
        after(CRD, "    EMBEDDING_RELEASE,", "    ENTRY_ALIAS,"),
        after(
            CRD,
            """
        selectable=(".spec.model",),
    ),
""",
            """
    Kind(
        resource=ENTRY_ALIAS,
        short="ea",
        description="EntryAlias is another name for the entry point of an EmbeddingModel.",
        spec=EntryAliasSpec,
        status=EntryAliasStatus,
        columns=(Column("Release", ".status.release"), _AGE),
        selectable=(".spec.modelRef.name",),
        rules=_NAME_RULES,
    ),
""",
        ),
        RULES,
        STATUS,
    ),
    beside=(
        instead(
            RIGHTS,
            "embeddingmodels, vectorindexes, driftpolicies\n{{- end }}",
            "embeddingmodels, vectorindexes, driftpolicies, entryaliases\n{{- end }}",
        ),
        instead(
            RIGHTS,
            "  resources: [embeddingmodels, vectorindexes, driftpolicies]",
            "  resources: [embeddingmodels, vectorindexes, driftpolicies, entryaliases]",
        ),
        instead(
            RIGHTS,
            "  resources: [embeddingmodels/status, vectorindexes/status, embeddingreleases/status,"
            " driftpolicies/status]",
            "  resources: [embeddingmodels/status, vectorindexes/status, embeddingreleases/status,"
            " driftpolicies/status, entryaliases/status]",
        ),
    ),
)
