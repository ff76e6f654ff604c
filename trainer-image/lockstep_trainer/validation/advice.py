"""What to do about a field that the config's schema refuses."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lockstep_core.datasets.problems import Problem, problem
from lockstep_core.protocol.base import Contract


def config_problems(error: ValidationError, model: type[Contract]) -> list[Problem]:
    """Each field that is wrong, with its value and what to do about it."""
    return [_problem(each, model) for each in error.errors(include_url=False)]


def _problem(error: ErrorDetails, model: type[BaseModel]) -> Problem:
    path = [str(part) for part in error["loc"]]
    name = ".".join(path) or "config"
    messages = {"extra_forbidden": "there is no such field", "missing": "is missing"}
    message = messages.get(error["type"], error["msg"].removeprefix("Value error, "))
    shown = repr(error["input"])
    # Of a whole object only the message is of use.
    value = [] if isinstance(error["input"], dict) else [shown]
    return problem(f"{name}: {message}", value, _fix(error, path, model), count=1)


def _fix(error: ErrorDetails, path: list[str], model: type[BaseModel]) -> str:
    field = path[-1] if path else ""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "json_invalid":
        return "write the config as one JSON object; `lockstep-train --help` shows one"
    if kind == "extra_forbidden":
        known = _fields(model, path[:-1])
        near = difflib.get_close_matches(field, known, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else f"; known are {', '.join(sorted(known))}"
        return f"remove `{field}`{hint}"
    if kind == "missing":
        return f"set `{'.'.join(path)}`"
    if "expected" in context:
        return f"set `{field}` to {context['expected']}"
    if kind == "value_error":
        return "change what the message names"
    description = _description(model, path)
    return f"change `{field}`" + (f": {description}" if description else "")


def _models(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _parents(model: type[BaseModel], path: list[str]) -> list[type[BaseModel]]:
    """The models that the object at `path` may be of."""
    models = [model]
    for part in path:
        models = [
            inner
            for each in models
            for name, field in each.model_fields.items()
            if part in (name, field.alias)
            for inner in _models(field.annotation)
        ]
    return models


def _fields(model: type[BaseModel], path: list[str]) -> list[str]:
    return [
        field.alias or name
        for each in _parents(model, path)
        for name, field in each.model_fields.items()
    ]


def _description(model: type[BaseModel], path: list[str]) -> str:
    for each in _parents(model, path[:-1]):
        for name, field in each.model_fields.items():
            if path and path[-1] in (name, field.alias):
                return field.description or ""
    return ""
