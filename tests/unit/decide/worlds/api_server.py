"""An API server of dicts. With `tell=False` the watch is late with the news."""

from __future__ import annotations

import copy
from typing import Any

from lockstep_operator.api.objects import Object
from tests.unit.decide.worlds.specs import NAMESPACE, OWN
from tests.unit.decide.worlds.watch import Watch


class ApiServer(Watch):
    """Objects are made, changed and removed, with their versions, uids and owners."""

    def put(self, raw: Object, *, tell: bool = True) -> Object:
        self._serial += 1
        metadata = raw["metadata"]
        metadata["resourceVersion"] = str(self._serial)
        self.objects[raw["kind"], metadata["name"]] = raw
        if tell:
            self.tell((raw["kind"], metadata["name"]))
        return raw

    def create(self, raw: Object, *, tell: bool = True) -> Object:
        raw = copy.deepcopy(raw)
        self._serial += 1
        metadata = raw["metadata"]
        assert (raw["kind"], metadata["name"]) not in self.objects
        metadata.setdefault("namespace", NAMESPACE)
        metadata["uid"] = f"uid-{self._serial}"
        metadata["creationTimestamp"] = self.text()
        metadata["generation"] = 1
        if raw["kind"] in OWN:
            raw["status"] = {"observedGeneration": -1}
        return self.put(raw, tell=tell)

    def remove(self, kind: str, name: str, *, tell: bool = True) -> None:
        """Background deletion: what the object owns goes too."""
        gone = self.objects.pop((kind, name), None)
        if gone is None:
            return
        if kind == "HTTPRoute":
            self.routed = {}
        if tell:
            self.tell((kind, name))
        uid = gone["metadata"]["uid"]
        for (child_kind, child), raw in list(self.objects.items()):
            owners = raw["metadata"].get("ownerReferences") or []
            if any(owner["uid"] == uid for owner in owners):
                self.remove(child_kind, child, tell=tell)

    def edit(self, kind: str, name: str, change: Any, *, tell: bool = True) -> None:
        """A change of the spec (or labels, annotations) by `change(raw)`."""
        raw = copy.deepcopy(self.objects[kind, name])
        before = copy.deepcopy(raw.get("spec"))
        change(raw)
        if raw.get("spec") != before:
            raw["metadata"]["generation"] += 1
        self.put(raw, tell=tell)

    def set_status(self, kind: str, name: str, status: Object, *, tell: bool = True) -> None:
        raw = copy.deepcopy(self.objects[kind, name])
        raw["status"] = {**(raw.get("status") or {}), **status}
        self.put(raw, tell=tell)
