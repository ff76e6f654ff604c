"""The converter: what it keeps, and what it refuses instead of dropping it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field, StringConstraints

from lockstep_core.protocol.base import Contract, rule, validations
from lockstep_operator.api.pods import Resources
from lockstep_operator.api.schema import UnsupportedSchema, structural, unbounded

pytestmark = pytest.mark.unit

Short = Annotated[str, StringConstraints(max_length=5)]


class Leaf(Contract):
    """A leaf."""

    size: int = Field(default=3, gt=0, lt=10, description="How large.")


class Tree(Contract):
    """A tree."""

    leaf: Leaf = Field(default_factory=Leaf, description="Its leaf.")
    other: Leaf | None = None
    needed: Leaf
    kind: Literal["Oak"] = "Oak"
    tags: dict[Short, Short] = Field(default_factory=dict, max_length=2)
    names: list[Short] = Field(default_factory=list, max_length=3)


def test_nested_models_are_inlined_with_their_defaults() -> None:
    found = structural(Tree)
    leaf = found["properties"]["leaf"]
    assert leaf["description"] == "Its leaf." and leaf["default"] == {"size": 3}
    assert leaf["properties"]["size"] == {
        "default": 3,
        "description": "How large.",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 10,
        "exclusiveMaximum": True,
        "type": "integer",
    }
    assert "default" not in found["properties"]["needed"]
    assert found["required"] == ["needed"]


def test_an_absent_object_stays_absent() -> None:
    other = structural(Tree)["properties"]["other"]
    assert other["type"] == "object" and "default" not in other


def test_lists_maps_and_constants() -> None:
    properties = structural(Tree)["properties"]
    assert properties["kind"]["enum"] == ["Oak"]
    assert properties["tags"]["additionalProperties"] == {"type": "string", "maxLength": 5}
    assert properties["names"]["x-kubernetes-list-type"] == "atomic"
    assert unbounded(structural(Tree)) == []


def test_a_number_or_text_has_two_types_and_a_bound() -> None:
    limits = structural(Resources)["properties"]["limits"]
    quantity = limits["additionalProperties"]
    assert "type" not in quantity and quantity["x-kubernetes-int-or-string"] is True
    assert quantity["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert quantity["maxLength"] == 24 and unbounded(limits) == []
    del quantity["maxLength"]
    assert unbounded(limits) == [".*"]


def test_rules_and_list_keys_pass_through() -> None:
    class Keyed(Contract):
        """Keyed."""

        model_config = ConfigDict(
            json_schema_extra=validations(rule("self.a.size() > 0", "be full"))
        )
        a: list[Leaf] = Field(json_schema_extra={"x-kubernetes-list-type": "map"})

    found = structural(Keyed)
    assert found["x-kubernetes-validations"] == [
        {"rule": "self.a.size() > 0", "message": "be full"}
    ]
    assert found["properties"]["a"]["x-kubernetes-list-type"] == "map"


class Endless(Contract):
    """Holds itself."""

    inner: Endless | None = None


class Either(Contract):
    """Two types."""

    value: int | Short


class Pair(Contract):
    """A fixed length."""

    value: tuple[int, str]


class Anything(Contract):
    """No type."""

    value: Any


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Endless, "Endless contains itself"),
        (Either, r"Either\.value: a union must be"),
        (Pair, r"Pair\.value: `prefixItems`"),
        (Anything, r"Anything\.value: a structural schema needs a type"),
    ],
)
def test_what_has_no_structural_form_is_an_error(model: type[Contract], words: str) -> None:
    with pytest.raises(UnsupportedSchema, match=words):
        structural(model)


def test_unbounded_parts_are_named() -> None:
    class Loose(Contract):
        """Loose."""

        text: str
        many: list[Short]
        tags: dict[str, Short]

    assert unbounded(structural(Loose)) == [".text", ".many", ".tags"]
