"""What the operator knows of the cluster: objects by kind, namespace and name.

Fed by lists, by watch events and by the bodies of our own writes, in any order. An integer
resourceVersion decides which of two is newer (KEP-5504 makes that comparison legal; every API
server on etcd has always allowed it). Objects are shared: nobody may change them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lockstep_core.protocol.labels import APPROVE
from lockstep_operator.api import kinds
from lockstep_operator.api.kinds import ResourceKind
from lockstep_operator.api.objects import Object
from lockstep_operator.runtime.queue import Key

TOMBSTONE_SECONDS = 900.0
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# All that decisions read of a pod's spec. The rest is most of its bytes.
_POD_SPEC_FIELDS = ("nodeName", "schedulingGates", "restartPolicy")


def slim(kind: ResourceKind, body: Object) -> Object:
    """The object without what no decision reads: managed fields, kubectl's copy, pod details."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    if kind is kinds.DRIFT_POLICY:
        metadata["managedFields"] = _of_approval(body["metadata"].get("managedFields") or [])
    if _LAST_APPLIED in (metadata.get("annotations") or {}):
        kept = {k: v for k, v in metadata["annotations"].items() if k != _LAST_APPLIED}
        metadata["annotations"] = kept
    slimmed = {**body, "metadata": metadata}
    # Items of a List carry neither; a watch event carries both.
    slimmed.setdefault("apiVersion", kind.api_version)
    slimmed.setdefault("kind", kind.kind)
    if kind is kinds.AUTOSCALER:
        # It tells of the load, anew every few seconds.
        slimmed.pop("status", None)
    if kind is kinds.POD and "spec" in body:
        spec = body["spec"]
        slimmed["spec"] = {field: spec[field] for field in _POD_SPEC_FIELDS if field in spec}
        slimmed["spec"]["containers"] = [
            {"name": container["name"], "image": container.get("image", "")}
            for container in spec.get("containers", [])
        ]
    return slimmed


def _of_approval(fields: list[Object]) -> list[Object]:
    """Who manages the annotation by which a request is approved: all that is read of them."""
    kept = []
    for entry in fields:
        annotations = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations")
        if f"f:{APPROVE}" in (annotations or {}):
            named: Object = {"f:metadata": {"f:annotations": {f"f:{APPROVE}": {}}}}
            kept.append({"manager": entry.get("manager"), "fieldsV1": named})
    return kept


def model_of(kind: ResourceKind, body: Object) -> str | None:
    """The name of the model whose aggregate the object belongs to, None for a stranger."""
    name = kind.model_of(body)
    return str(name) if name else None


def version_of(body: Object) -> int:
    """The integer resourceVersion."""
    return int(body["metadata"]["resourceVersion"])


@dataclass(frozen=True)
class _Tombstone:
    """What is known dead at one name: everything up to `version`, and `uid` at any version.

    The uid is set only when the API server confirmed a deletion of ours: for the watch, an object
    that left our selector is deleted too, and that one may come back under the same uid.
    """

    version: int
    uid: str | None
    at: float


class Cache:
    """Objects, and for each model the objects of its aggregate."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._objects: dict[str, dict[Key, Object]] = defaultdict(dict)
        self._tombstones: dict[str, dict[Key, _Tombstone]] = defaultdict(dict)
        self._aggregates: dict[Key, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._served: set[tuple[str, str | None]] = set()

    def get(self, kind: ResourceKind, namespace: str, name: str) -> Object | None:
        return self._objects[kind.kind].get(Key(namespace, name))

    def of_model(self, key: Key, kind: ResourceKind) -> tuple[Object, ...]:
        """The model's objects of one kind, by name. Costs the model's own objects only."""
        if key not in self._aggregates:
            return ()
        names = self._aggregates[key].get(kind.kind, set())
        store = self._objects[kind.kind]
        return tuple(store[Key(key.namespace, name)] for name in sorted(names))

    def all_of(self, kind: ResourceKind) -> Iterable[Object]:
        """The objects of one kind, of all models."""
        return self._objects[kind.kind].values()

    def models(self) -> tuple[Key, ...]:
        """All keys with at least one object."""
        return tuple(self._aggregates)

    def serves(self, kind: ResourceKind, namespace: str | None) -> bool:
        """Whether the API server has a kind that it may lack (`kinds.OPTIONAL`)."""
        return bool({(kind.kind, namespace), (kind.kind, None)} & self._served)

    def note_served(self, kind: ResourceKind, namespace: str | None, served: bool) -> set[Key]:
        """Notes whether there is the kind, in one namespace or in all. Returns keys affected."""
        at = (kind.kind, namespace)
        if (at in self._served) == served:
            return set()
        (self._served.add if served else self._served.discard)(at)
        return {key for key in self._aggregates if namespace in (None, key.namespace)}

    def observe(self, kind: ResourceKind, event: str | None, body: Object) -> set[Key]:
        """Takes in a watch event. Returns the keys that it changed something for."""
        if event == "DELETED":
            return self._observe_deletion(kind, body)
        return self._put(kind, body, after_tombstone=1)

    def put(self, kind: ResourceKind, body: Object) -> set[Key]:
        """Takes in the answer to our own call, so that the next decision sees our own writes."""
        # A live read at the version of the tombstone means that the object only left our
        # selector: the watch says DELETED for that too.
        return self._put(kind, body, after_tombstone=0)

    def gone(self, kind: ResourceKind, namespace: str, name: str, uid: str | None) -> set[Key]:
        """The API server said that the object is no more."""
        at = Key(namespace, name)
        known = self._objects[kind.kind].get(at)
        known_uid = known["metadata"]["uid"] if known is not None else None
        dead = uid or known_uid
        is_known = known is not None and dead == known_uid
        self._note_tombstone(
            kind, at, version_of(known) if known is not None and is_known else 0, dead
        )
        return self._remove(kind, at, known) if known is not None and is_known else set()

    def prune(
        self, kind: ResourceKind, namespace: str | None, listed: set[Key], version: int
    ) -> set[Key]:
        """Drops what a whole list as of `version` lacked, unless it is newer than the list.

        This is the repair for a deletion that no watch reported. Returns the keys it changed.
        """
        changed: set[Key] = set()
        for at, known in list(self._objects[kind.kind].items()):
            inside = namespace is None or at.namespace == namespace
            if inside and at not in listed and version_of(known) <= version:
                changed |= self._remove(kind, at, known)
        oldest = self._clock() - TOMBSTONE_SECONDS
        tombstones = self._tombstones[kind.kind]
        for at in [at for at, tombstone in tombstones.items() if tombstone.at < oldest]:
            del tombstones[at]
        return changed

    def _put(self, kind: ResourceKind, body: Object, *, after_tombstone: int) -> set[Key]:
        metadata = body["metadata"]
        at = Key(metadata["namespace"], metadata["name"])
        version = version_of(body)
        known = self._objects[kind.kind].get(at)
        if known is not None and version_of(known) >= version:
            return set()
        if self._is_dead(kind, at, metadata["uid"], version - after_tombstone):
            return set()
        slimmed = slim(kind, body)
        if kind is kinds.AUTOSCALER and known is not None and _is_same(known, slimmed):
            self._objects[kind.kind][at] = slimmed
            return set()
        changed = self._unlink(kind, at, known) | self._link(kind, at, slimmed)
        self._objects[kind.kind][at] = slimmed
        self._tombstones[kind.kind].pop(at, None)
        return changed

    def _is_dead(self, kind: ResourceKind, at: Key, uid: str, version: int) -> bool:
        tombstone = self._tombstones[kind.kind].get(at)
        if tombstone is None:
            return False
        return tombstone.uid == uid or version < tombstone.version

    def _observe_deletion(self, kind: ResourceKind, body: Object) -> set[Key]:
        metadata = body["metadata"]
        at = Key(metadata["namespace"], metadata["name"])
        known = self._objects[kind.kind].get(at)
        version = version_of(body)
        if known is not None and version_of(known) > version:
            return set()
        self._note_tombstone(kind, at, version, None)
        return self._remove(kind, at, known) if known is not None else set()

    def _note_tombstone(self, kind: ResourceKind, at: Key, version: int, uid: str | None) -> None:
        tombstone = self._tombstones[kind.kind].get(at)
        if tombstone is not None:
            version, uid = max(version, tombstone.version), uid or tombstone.uid
        self._tombstones[kind.kind][at] = _Tombstone(version, uid, self._clock())

    def _remove(self, kind: ResourceKind, at: Key, known: Object) -> set[Key]:
        del self._objects[kind.kind][at]
        return self._unlink(kind, at, known)

    def _link(self, kind: ResourceKind, at: Key, body: Object) -> set[Key]:
        model = model_of(kind, body)
        if model is None:
            return set()
        key = Key(at.namespace, model)
        self._aggregates[key][kind.kind].add(at.name)
        return {key}

    def _unlink(self, kind: ResourceKind, at: Key, known: Object | None) -> set[Key]:
        model = model_of(kind, known) if known is not None else None
        if model is None:
            return set()
        key = Key(at.namespace, model)
        names = self._aggregates[key]
        names[kind.kind].discard(at.name)
        if not any(names.values()):
            del self._aggregates[key]
        return {key}


def _is_same(one: Object, other: Object) -> bool:
    """Whether nothing that is kept of an object changed but its version."""
    version = {"resourceVersion": None}
    metadata = {**one["metadata"], **version}, {**other["metadata"], **version}
    return metadata[0] == metadata[1] and one.get("spec") == other.get("spec")


def owner_uids(body: Object) -> set[str]:
    """The uids of an object's owners."""
    references: list[dict[str, Any]] = body["metadata"].get("ownerReferences") or []
    return {reference["uid"] for reference in references}
