"""Does a live object still hold what a manifest says? Answered without a call.

A hash of the manifest is kept on the child, so a field that left the manifest is noticed; a
comparison of the manifest's own fields notices a hand edit. Fields that the manifest does not
name (server defaults, other managers) do not count.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from lockstep_core.protocol.labels import GROUP
from lockstep_operator.api.objects import Object
from lockstep_operator.manifests.quantities import amount

APPLIED_HASH = f"{GROUP}/applied-hash"

# Lists that Kubernetes merges by a key: other managers may add items of their own.
_LIST_KEYS = ("name", "uid", "mountPath", "containerPort", "port", "topologyKey")
# `omitempty` booleans without a pointer: false is stored as absence.
_ABSENT_WHEN_FALSE = frozenset(
    {
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "paused",
        "publishNotReadyAddresses",
        "readOnly",
        "stdin",
        "stdinOnce",
        "tty",
    }
)
# Maps with one owner for the whole (structType atomic): a key more in a selector is another
# selector, and would take a release's pods away from its Service.
_ATOMIC_MAPS = frozenset({"selector", "labelSelector", "nodeSelector"})
# Lists with one owner for the whole (listType atomic) that say who gets the requests: an item more,
# or a field more in an item, is another way to a release. Their manifests leave no default out.
# The fields that are named here lead no request elsewhere: an admission policy may set them.
_EXACT_LISTS: dict[str, frozenset[str]] = {
    "parentRefs": frozenset({"port"}),
    "hostnames": frozenset(),
    "rules": frozenset({"name", "retry", "timeouts"}),
}
_QUANTITY_PARENTS = frozenset({"requests", "limits"})


def applied_hash(manifest: Object) -> str:
    """16 hex digits over the canonical JSON of a manifest."""
    return hashlib.sha256(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def with_hash(manifest: Object) -> Object:
    """The manifest as it is applied: with its own hash in an annotation."""
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED_HASH: applied_hash(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def was_applied(manifest: Object, live: Object) -> bool:
    """Whether this manifest was the last that was applied, whatever others made of it since."""
    annotations = live["metadata"].get("annotations") or {}
    return bool(annotations.get(APPLIED_HASH) == applied_hash(manifest))


def difference(manifest: Object, live: Object) -> str | None:
    """The first path at which `live` is not as applied from `manifest`, None when it is."""
    if not was_applied(manifest, live):
        return f"metadata.annotations[{APPLIED_HASH}]"
    return _first_difference(manifest, live, "", "")


def spec_difference(manifest: Object, live: Object) -> str | None:
    """The same of the spec alone, whoever applied it."""
    return _first_difference(manifest["spec"], live["spec"], "spec", "spec")


def _first_difference(ours: Any, theirs: Any, path: str, field: str) -> str | None:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if field in _ATOMIC_MAPS:
            return None if ours == theirs else path
        for key, value in ours.items():
            nested = f"{path}.{key}" if path else key
            name = field if field in _QUANTITY_PARENTS else key
            differing = _first_difference(value, theirs.get(key), nested, name)
            if differing is not None:
                return differing
        return None
    if field in _EXACT_LISTS and isinstance(ours, list):
        return None if _is_exact(ours, theirs or [], _EXACT_LISTS[field]) else path
    if isinstance(ours, list) and isinstance(theirs, list):
        return _list_difference(ours, theirs, path)
    return None if _same_scalar(ours, theirs, field) else path


def _is_exact(ours: list[Any], theirs: Any, free: frozenset[str]) -> bool:
    """Item by item the same, but for `free` fields that ours do not have, and empty lists."""
    if not isinstance(theirs, list) or len(ours) != len(theirs):
        return False
    return all(
        mine == other
        if not isinstance(mine, dict) or not isinstance(other, dict)
        else _said(mine) == _said({k: v for k, v in other.items() if k in mine or k not in free})
        for mine, other in zip(ours, theirs, strict=True)
    )


def _said(item: dict[str, Any]) -> dict[str, Any]:
    """Without lists that are empty: whoever writes a typed object leaves them out."""
    return {key: value for key, value in item.items() if value != []}


def _list_difference(ours: list[Any], theirs: list[Any], path: str) -> str | None:
    merge_key = next((key for key in _LIST_KEYS if _is_keyed_by(key, ours)), None)
    if merge_key is None:
        if len(ours) != len(theirs):
            return path
        pairs = list(zip(ours, theirs, strict=True))
    else:
        by_key = {item.get(merge_key): item for item in theirs if isinstance(item, dict)}
        pairs = [(item, by_key.get(item[merge_key])) for item in ours]
    for position, (mine, other) in enumerate(pairs):
        differing = _first_difference(mine, other, f"{path}[{position}]", "")
        if differing is not None:
            return differing
    return None


def _is_keyed_by(key: str, items: list[Any]) -> bool:
    keys = [item.get(key) if isinstance(item, dict) else None for item in items]
    return bool(keys) and None not in keys and len(set(keys)) == len(keys)


def _same_scalar(ours: Any, theirs: Any, field: str) -> bool:
    if ours == theirs:
        return isinstance(ours, bool) == isinstance(theirs, bool)
    if theirs is None:
        empty = ours is None or ours == "" or ours == [] or ours == {}
        return empty or (ours is False and field in _ABSENT_WHEN_FALSE)
    if field in _QUANTITY_PARENTS or field in ("sizeLimit", "storage"):
        return amount(str(ours)) == amount(str(theirs)) is not None
    return False
