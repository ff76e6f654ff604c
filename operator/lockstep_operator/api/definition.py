"""A CustomResourceDefinition from the row of a kind of ours (`api.crd.KINDS`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from lockstep_core.protocol.labels import GROUP
from lockstep_operator.api.kinds import ResourceKind
from lockstep_operator.api.objects import VERSION
from lockstep_operator.api.schema import Schema, UnsupportedSchema, structural, unbounded


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; `wide` shows it with `-o wide` alone."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False

    def to_wire(self) -> dict[str, Any]:
        column: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return {**column, "priority": 1} if self.wide else column


@dataclass(frozen=True)
class Kind:
    """One of our kinds, as it is defined to the API server."""

    resource: ResourceKind
    short: str
    description: str
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]
    replicas: str | None = None
    rules: tuple[dict[str, str], ...] = ()

    @property
    def kind(self) -> str:
        return self.resource.kind

    @property
    def plural(self) -> str:
        return self.resource.plural


def definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind; raises UnsupportedSchema on an unbounded field."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short],
                "categories": ["lockstep"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": _subresources(kind),
                    "selectableFields": [{"jsonPath": path} for path in kind.selectable],
                    "additionalPrinterColumns": [column.to_wire() for column in kind.columns],
                    "schema": {"openAPIV3Schema": _schema(kind)},
                }
            ],
        },
    }


def _subresources(kind: Kind) -> dict[str, Any]:
    if kind.replicas is None:
        return {"status": {}}
    return {
        "status": {},
        "scale": {
            "specReplicasPath": kind.replicas,
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }


def _schema(kind: Kind) -> Schema:
    spec, status = structural(kind.spec), structural(kind.status)
    if loose := unbounded(spec):
        raise UnsupportedSchema(f"{kind.kind}.spec needs bounds at {', '.join(loose)}")
    # Without it, tools that follow kstatus call an object current that nobody has looked at yet.
    status["default"] = {"observedGeneration": -1}
    schema: Schema = {
        "type": "object",
        "description": kind.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }
    if kind.rules:
        schema["x-kubernetes-validations"] = list(kind.rules)
    return schema
