"""The entry point: the one Service whose selector ever changes, and whom it selects."""

from __future__ import annotations

from lockstep_core.protocol import labels
from lockstep_operator import manifests
from lockstep_operator.decide.compare import difference
from lockstep_operator.decide.draft import Draft
from lockstep_operator.manifests.metadata import Component, selector_labels


def selected_release(draft: Draft) -> str | None:
    """The release that the entry point selects, as read back; None when it selects no release."""
    entry = draft.scene.child("Service", draft.model.name, draft.model.uid)
    if entry is None:
        return None
    selector = (entry.get("spec") or {}).get("selector") or {}
    name = str(selector.get(labels.RELEASE, ""))
    exact = selector == selector_labels(draft.model.name, name, Component.ENCODER)
    return name if exact else None


def entry_conflict(draft: Draft) -> str | None:
    """The sentence about a Service of the model's name that belongs to someone else."""
    return draft.scene.conflict("Service", draft.model.name, draft.model.uid)


def entry_remnant(draft: Draft) -> str | None:
    """The sentence about the entry point of a deleted model of the same name."""
    return draft.scene.remnant("Service", draft.model.name, draft.model.uid)


def steer(draft: Draft) -> None:
    """Points the entry at the release that a stage of this pass chose, else at the stable one.

    So a hand edit is undone, and nothing else than `Promoting` and `RollingBack` ever moves it.
    """
    target = draft.entry_target or (draft.stable.name if draft.stable else None)
    if target is None or entry_remnant(draft) is not None:
        return
    conflict = entry_conflict(draft)
    if conflict is not None:
        draft.conflicts.append(conflict)
        return
    manifest = manifests.entry_service(draft.model, draft.release(target))
    entry = draft.scene.child("Service", draft.model.name, draft.model.uid)
    if entry is None or difference(manifest, entry) is not None:
        draft.apply.append(manifest)
