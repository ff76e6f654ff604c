"""From a pydantic model to the structural OpenAPI schema that a CRD takes.

Handles what our models use and refuses the rest, so that nothing is silently pruned: recursion,
unions other than "or absent", fixed-length arrays and unbounded user input are errors here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

# Words that structural schemas share with JSON Schema, and ours for Kubernetes.
_KEPT = frozenset(
    {
        "type", "format", "description", "default", "enum", "pattern", "minLength", "maxLength",
        "minimum", "maximum", "minItems", "maxItems", "minProperties", "maxProperties",
    }
)  # fmt: skip
# Words that decorate, and `required`, which is taken with the properties. `propertyNames` has
# no structural form: CEL rules bound the keys where it matters.
_DROPPED = frozenset({"title", "$defs", "propertyNames", "required"})
# Has two types, and stands in place of one.
INT_OR_STRING = "x-kubernetes-int-or-string"
_NESTING = frozenset({"properties", "items", "additionalProperties", "patternProperties"})


class UnsupportedSchema(ValueError):
    """A construct that a CRD cannot express; the message says where."""


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, with `$defs` inlined.

    An object that is neither required nor nullable has defaults throughout (pydantic's
    `default_factory`), so the API server is given them.
    """
    source = model.model_json_schema(by_alias=True)
    return _convert(source, source.get("$defs", {}), model.__name__, ())


def _convert(
    node: Mapping[str, Any], definitions: Mapping[str, Any], path: str, seen: tuple[str, ...]
) -> Schema:
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        if name in seen:
            raise UnsupportedSchema(f"{path}: {name} contains itself")
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        return _convert({**definitions[name], **siblings}, definitions, path, (*seen, name))
    if "anyOf" in node and INT_OR_STRING not in node:
        return _convert(_without_null(node, path), definitions, path, seen)
    converted: Schema = {}
    for key, value in node.items():
        if key in _KEPT or key.startswith("x-kubernetes-"):
            converted[key] = value
        elif key in ("exclusiveMinimum", "exclusiveMaximum"):
            converted[key.removeprefix("exclusive").lower()] = value
            converted[key] = True
        elif key == "const":
            converted["enum"] = [value]
        elif key not in _NESTING and key not in _DROPPED and key != "anyOf":
            raise UnsupportedSchema(f"{path}: `{key}` has no structural form")
    converted.update(_children(node, definitions, path, seen))
    if INT_OR_STRING in converted:
        return {**converted, "anyOf": node["anyOf"]}
    if "type" not in converted:
        raise UnsupportedSchema(f"{path}: a structural schema needs a type everywhere")
    if converted["type"] == "array":
        converted.setdefault("x-kubernetes-list-type", "atomic")
    return converted


def _children(
    node: Mapping[str, Any], definitions: Mapping[str, Any], path: str, seen: tuple[str, ...]
) -> Schema:
    if "properties" in node:
        return _properties(node, definitions, path, seen)
    if "items" in node:
        return {"items": _convert(node["items"], definitions, f"{path}[]", seen)}
    # A map whose keys have a pattern: the pattern has no structural form, the values do.
    (values,) = node.get("patternProperties", {"": node.get("additionalProperties")}).values()
    if not values:
        return {}
    return {"additionalProperties": _convert(values, definitions, f"{path}.*", seen)}


def _properties(
    node: Mapping[str, Any], definitions: Mapping[str, Any], path: str, seen: tuple[str, ...]
) -> Schema:
    required = list(node.get("required", ()))
    properties: Schema = {}
    for name, value in node["properties"].items():
        converted = _convert(value, definitions, f"{path}.{name}", seen)
        nullable = "anyOf" in value
        if name not in required and not nullable and "properties" in converted:
            # Spelt out: the API server checks rules against a default before it fills it in.
            inner = converted["properties"].items()
            whole = {key: child["default"] for key, child in inner if "default" in child}
            converted.setdefault("default", whole)
        properties[name] = converted
    return {"properties": properties, **({"required": required} if required else {})}


def _without_null(node: Mapping[str, Any], path: str) -> Schema:
    """`X | None = None` is an optional X; any other union has no structural form."""
    others = [option for option in node["anyOf"] if option != {"type": "null"}]
    if len(others) != 1 or len(node["anyOf"]) != 2 or node.get("default") is not None:
        raise UnsupportedSchema(f"{path}: a union must be `X | None = None`")
    siblings = {key: value for key, value in node.items() if key not in ("anyOf", "default")}
    return {**others[0], **siblings}


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every node with its path: `.a.b`, `.a[]`, `.a.*`."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}.*")


def unbounded(schema: Schema) -> list[str]:
    """Paths of strings, lists and maps without a bound.

    The cost of CEL is estimated from bounds, and an object must fit into etcd.
    """
    return [path for path, node in walk(schema) if not _bounded(node)]


def _bounded(node: Schema) -> bool:
    match node.get("type"):
        case "string" | None:
            return "maxLength" in node or "enum" in node
        case "array":
            return "maxItems" in node
        case "object":
            return "properties" in node or "maxProperties" in node
        case _:
            return True
