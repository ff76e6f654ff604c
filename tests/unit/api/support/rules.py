"""What the CEL rules of a generated schema say of an object, without an API server.

The functions that Kubernetes adds to CEL and that the schemas use stand here in small; the cluster
tests ask a real server the same. Nothing is a test.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from lockstep_operator.api.crd import KINDS, definition
from lockstep_operator.manifests.quantities import amount

_SCHEMAS = {
    kind.kind: definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for kind in KINDS
}


def refusals(body: dict[str, Any]) -> list[str]:
    """Field and message of each rule that a new object of one of our kinds does not meet."""
    schema = _SCHEMAS[body["kind"]]
    return list(_broken(schema, _defaulted(schema, copy.deepcopy(body)), ""))


def _defaulted(schema: dict[str, Any], found: Any) -> Any:
    """As the API server fills an object in before it asks the rules."""
    if isinstance(found, dict):
        for name, child in schema.get("properties", {}).items():
            if name not in found and "default" in child:
                found[name] = copy.deepcopy(child["default"])
            if name in found:
                found[name] = _defaulted(child, found[name])
    if isinstance(found, list):
        return [_defaulted(schema["items"], item) for item in found]
    return found


def _broken(schema: dict[str, Any], found: Any, path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" not in rule["rule"] and not _holds(rule["rule"], found):
            yield f"{path}{rule.get('fieldPath', '')}: {rule['message']}"
    if isinstance(found, dict):
        for name, child in schema.get("properties", {}).items():
            if name in found:
                yield from _broken(child, found[name], f"{path}.{name}")
    if isinstance(found, list):
        for place, item in enumerate(found):
            yield from _broken(schema["items"], item, f"{path}[{place}]")


def _holds(expression: str, found: Any) -> bool:
    value = _compiled(expression).eval(data={"self": _escaped(found)}).value()
    assert isinstance(value, bool), f"{expression}: {value}"
    return value


@cache
def _compiled(expression: str) -> Any:
    return cel.NewEnv(
        variables={"self": cel.Type.DYN},
        extensions=[ext_strings.ExtStrings()],
        functions=_FUNCTIONS,
    ).compile(expression)


def _escaped(found: Any) -> Any:
    """`namespace` is a reserved word of CEL, which the API server escapes."""
    if isinstance(found, dict):
        return {
            "__namespace__" if name == "namespace" else name: _escaped(value)
            for name, value in found.items()
        }
    return [_escaped(item) for item in found] if isinstance(found, list) else found


def _function(name: str, impl: Any, *takes: Any, returns: Any, member: bool = False) -> Any:
    overload = cel.Overload(
        id=f"{name}_here", return_type=returns, parameters=takes, is_member=member, impl=impl
    )
    return cel.FunctionDecl(name, [overload])


def _compared(one: str, other: str) -> int:
    mine, theirs = amount(one), amount(other)
    assert mine is not None and theirs is not None
    return (mine > theirs) - (mine < theirs)


def _is_sorted(items: Any) -> bool:
    return list(items) == sorted(items)


def _is_whole(quantity: str) -> bool:
    value = amount(quantity)
    return value is not None and value.denominator == 1


_TEXT, _BOOL = cel.Type.STRING, cel.Type.BOOL
# A quantity stays the text that it was made from.
_FUNCTIONS = [
    _function("isSorted", _is_sorted, cel.Type.LIST, returns=_BOOL, member=True),
    _function("isQuantity", lambda text: amount(text) is not None, _TEXT, returns=_BOOL),
    _function("quantity", lambda text: text, _TEXT, returns=_TEXT),
    _function("isInteger", _is_whole, _TEXT, returns=_BOOL, member=True),
    _function("compareTo", _compared, _TEXT, _TEXT, returns=cel.Type.INT, member=True),
]
