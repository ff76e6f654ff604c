"""`Contract.replace`: a copy with other values, checked like a parsed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, ValidationError, model_validator

from lockstep_core.protocol.base import Contract, DecimalString

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
PRODUCT = ("core", "operator", "trainer-image", "encoder-image", "monitor-image", "indexer-image")


class Bound(Contract):
    limit: DecimalString = "1.0"


class Query(Contract):
    name: str
    max_samples: int = Field(default=10, ge=1)
    pad_id: int = Field(default=0, alias="padID")
    bound: Bound = Field(default_factory=Bound)
    tags: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_named(self) -> Query:
        if self.name == "all" and self.max_samples > 100:
            raise ValueError("`all` takes at most 100 samples")
        return self


QUERY = Query(name="one", bound=Bound(limit="0.5"))


@pytest.mark.parametrize(
    "fields",
    [
        {"max_sample": 5},
        {"max_samples": 0},
        {"max_samples": "five"},
        {"name": None},
        {"bound": {"limit": "-1"}},
        {"name": "all", "max_samples": 101},
    ],
)
def test_an_unknown_field_and_a_wrong_value_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QUERY.replace(**fields)


def test_a_field_is_named_as_in_python() -> None:
    assert QUERY.replace(pad_id=3).to_wire()["padID"] == 3
    assert QUERY.replace(max_samples=3).to_wire()["maxSamples"] == 3


def test_the_name_on_the_wire_sets_only_what_was_not_set() -> None:
    assert QUERY.replace(padID=3).pad_id == 3
    with pytest.raises(ValidationError):
        QUERY.replace(pad_id=3).replace(padID=4)


def test_other_fields_stay_and_nested_contracts_are_the_same_objects() -> None:
    changed = QUERY.replace(max_samples=3)
    assert changed.bound is QUERY.bound and changed.name == "one"
    assert QUERY.max_samples == 10


def test_a_nested_contract_may_be_given_in_its_wire_form() -> None:
    assert QUERY.replace(bound={"limit": "0.25"}).bound == Bound(limit="0.25")


def test_fields_that_were_never_set_stay_unset() -> None:
    changed = QUERY.replace(max_samples=10)
    assert QUERY.model_fields_set == {"name", "bound"}
    assert changed.model_fields_set == {"name", "bound", "max_samples"}
    assert changed.model_dump(exclude_unset=True).keys() == {"name", "bound", "max_samples"}


def test_the_copy_is_as_one_that_was_parsed() -> None:
    changed = QUERY.replace(tags=["a"], max_samples=7)
    assert changed == Query.model_validate(changed.to_wire())
    assert type(changed) is Query


def test_no_record_of_the_product_is_changed_without_a_check() -> None:
    """`model_copy(update=...)` takes any value, and any name."""
    modules = [path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 100
    assert not [path for path in modules if "model_copy(" in path.read_text()]
