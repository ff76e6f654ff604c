"""The fields of our kinds' contracts by their path on the wire, whatever their classes are called.

`[]` stands for the items of a list, `{}` for the values of a map: `status.gates[].samples`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lockstep_operator.api.index import VectorIndexSpec, VectorIndexStatus
from lockstep_operator.api.model import EmbeddingModelSpec, EmbeddingModelStatus
from lockstep_operator.api.release import EmbeddingReleaseSpec, EmbeddingReleaseStatus

SPECS: dict[str, type[BaseModel]] = {
    "EmbeddingModel": EmbeddingModelSpec,
    "VectorIndex": VectorIndexSpec,
    "EmbeddingRelease": EmbeddingReleaseSpec,
}
STATUSES: dict[str, type[BaseModel]] = {
    "EmbeddingModel": EmbeddingModelStatus,
    "VectorIndex": VectorIndexStatus,
    "EmbeddingRelease": EmbeddingReleaseStatus,
}


def contracts(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """The contract at `path`, and every contract below it, each with its own path."""
    yield path, model
    for name, field in fields(model):
        for step, nested in _nested(field.annotation):
            yield from contracts(nested, f"{path}.{name}{step}")


def fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of one contract by their names on the wire."""
    for name, field in model.model_fields.items():
        yield field.alias or name, field


def required_fields() -> dict[str, list[str]]:
    """The fields without a default of every contract of our kinds, by the contract's path."""
    found: dict[str, list[str]] = {}
    for part, models in (("spec", SPECS), ("status", STATUSES)):
        for kind, root in models.items():
            for path, model in contracts(root, f"{kind}.{part}"):
                found[path] = sorted(n for n, field in fields(model) if field.is_required())
    return found


def paths_of(value: Any, path: str) -> Iterator[str]:
    """The path of everything that a JSON value holds. Keys of maps cannot be told from fields, so
    they are given both ways."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, f"{path}.{key}")
            yield from paths_of(inner, f"{path}{{}}")
    elif isinstance(value, list):
        for inner in value:
            yield from paths_of(inner, f"{path}[]")


def _nested(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """The contracts that a field holds, with how they are reached from it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
        return
    origin = get_origin(annotation)
    step = {list: "[]", tuple: "[]", dict: "{}"}.get(origin, "")
    for argument in get_args(annotation):
        for inner, model in _nested(argument):
            yield step + inner, model
