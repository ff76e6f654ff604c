"""Labels, selectors and owners: who an object belongs to.

A whitelist: labels and annotations of a user's object are never copied to its children (a GitOps
tool that tracks by label would prune them).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from lockstep_core.protocol import labels
from lockstep_operator.api.kinds import EMBEDDING_MODEL, EMBEDDING_RELEASE, ResourceKind
from lockstep_operator.api.objects import Model, Object, Release
from lockstep_operator.manifests.names import JobKind


class Component(StrEnum):
    """Value of the component labels, of what is no Job: a Job and its pods carry their kind."""

    ENCODER = "encoder"
    INDEX = "index"
    ENTRY = "entry"
    RELEASE = "release"


def standard_labels(
    model: str,
    component: Component | JobKind,
    *,
    release: str | None = None,
    index: str | None = None,
    attempt: int | None = None,
) -> dict[str, str]:
    """Labels of every object that the operator makes; `lockstep.dev/model` is on each of them."""
    values = {
        "app.kubernetes.io/name": f"lockstep-{component}",
        "app.kubernetes.io/component": str(component),
        "app.kubernetes.io/part-of": "lockstep",
        "app.kubernetes.io/managed-by": "lockstep",
        labels.MODEL: model,
        labels.COMPONENT: str(component),
    }
    if release is not None:
        values[labels.RELEASE] = release
    if index is not None:
        values[labels.INDEX] = index
    if attempt is not None:
        values[labels.ATTEMPT] = str(attempt)
    return values


def selector_labels(
    model: str, release: str, component: Component | JobKind, index: str | None = None
) -> dict[str, str]:
    """Selects the pods of one release (and index) and no others. Immutable once applied."""
    selector = {
        labels.MODEL: model,
        labels.RELEASE: release,
        labels.COMPONENT: str(component),
    }
    if index is not None:
        selector[labels.INDEX] = index
    return selector


def entry_label(release: str) -> str:
    """On the pods of a release, and on those of the candidate that shares its entry point."""
    return f"entry.{labels.GROUP}/{release}"


def joint_selector(model: str, holder: str) -> dict[str, str]:
    """Selects the encoder pods of a release and of the candidate that stands beside it."""
    return {
        labels.MODEL: model,
        labels.COMPONENT: str(Component.ENCODER),
        entry_label(holder): "true",
    }


def selector_text(selector: Mapping[str, str]) -> str:
    """The selector as the scale subresource wants it: `a=b,c=d`, sorted."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


def owned_by_model(model: Model) -> list[dict[str, Any]]:
    """Deleting the EmbeddingModel deletes the object."""
    return [_owner(EMBEDDING_MODEL, model.name, model.uid)]


def owned_by_release(release: Release) -> list[dict[str, Any]]:
    """Deleting the EmbeddingRelease deletes the object."""
    return [_owner(EMBEDDING_RELEASE, release.name, release.uid)]


def _owner(kind: ResourceKind, name: str, uid: str) -> dict[str, Any]:
    if not uid:
        raise ValueError(f"{kind.kind} {name} has no uid: only stored objects own others")
    return {
        **kind.type_meta,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def metadata(
    name: str, namespace: str, own_labels: Mapping[str, str], owners: list[dict[str, Any]]
) -> Object:
    """Metadata of a namespaced child."""
    return {
        "name": name,
        "namespace": namespace,
        "labels": dict(own_labels),
        "ownerReferences": owners,
    }
