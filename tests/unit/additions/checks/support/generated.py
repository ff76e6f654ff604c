"""The CRDs of the copy, as they are generated from its types."""

from __future__ import annotations

from typing import Any

from lockstep_operator.api import crd


def schema_of(plural: str, path: str) -> dict[str, Any]:
    """The schema of a field, such as `spec.serving.replicas`."""
    (kind,) = (kind for kind in crd.KINDS if kind.plural == plural)
    definition = crd.definition(kind)
    schema: dict[str, Any]
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name in path.split("."):
        schema = schema["properties"][name]
    return schema
