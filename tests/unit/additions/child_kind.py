"""A toy child kind: a PodDisruptionBudget of the encoder of each release with several pods."""

from tests.unit.additions.edits import Addition, NewFile, after, before

KINDS = "operator/lockstep_operator/api/kinds.py"

ADDITION = Addition(
    what="a child kind",
    changes=(
        before(
            KINDS,
            "HTTP_ROUTE = ResourceKind(",
            """
BUDGET = _child(
    "policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", removal=0, builder="budget"
)
""",
        ),
        after(KINDS, "    AUTOSCALER,", "    BUDGET,"),
        NewFile(
            "operator/lockstep_operator/manifests/budget.py",
            '''
"""The disruption budget of a release's encoder: a drain of nodes leaves all but one of its pods."""

from __future__ import annotations

from collections.abc import Iterator

from lockstep_operator.api.kinds import BUDGET
from lockstep_operator.api.objects import Model, Object, Release
from lockstep_operator.manifests.metadata import (
    Component,
    metadata,
    owned_by_release,
    selector_labels,
    standard_labels,
)
from lockstep_operator.manifests.names import encoder_name


def children(model: Model, release: Release) -> Iterator[Object]:
    """One, where there are several pods: of a single one it would hold up every drain."""
    if model.spec.serving.replicas < 2:
        return
    labels = standard_labels(release.spec.model, Component.ENCODER, release=release.name)
    selector = selector_labels(release.spec.model, release.name, Component.ENCODER)
    name = encoder_name(release.name)
    yield {
        **BUDGET.type_meta,
        "metadata": metadata(name, release.namespace, labels, owned_by_release(release)),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
    }
''',
            named="operator/lockstep_operator/manifests/<builder>.py",
        ),
    ),
    beside=(
        after(
            "charts/lockstep/templates/_helpers.tpl",
            """
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
""",
            """
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
""",
        ),
    ),
)
