"""`data`: what fits together, told alike by CEL and by pydantic; and hashes that stay."""

from __future__ import annotations

from typing import Any

import pytest
from cel_expr_python import cel
from pydantic import ValidationError

from lockstep_core.protocol.datasets import DatasetSpec, LabelledDataset

pytestmark = pytest.mark.unit

FILES = {"NPZ": "a.npz", "Parquet": "a.parquet", "JSONLines": "a.jsonl", "ImageFolder": "folder"}
SPECS: list[dict[str, Any]] = [
    {"uri": f"file:///v/{name}", "format": format} for name in FILES.values() for format in FILES
]
SPECS += [
    {"uri": f"file:///v/{name}", "format": format, **more}
    for format, name in FILES.items()
    for more in (
        {"columns": {"label": "product"}},
        {"columns": {"group": "shop"}, "split": {"by": "Group"}},
        {"columns": {"label": "product"}, "split": {"by": "Group"}},
        {"split": {"by": "Group"}},
        {"split": {"by": "Hash"}},
        {"split": {"by": "Class"}},
    )
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_both_say_the_same(spec: dict[str, Any]) -> None:
    rules = LabelledDataset.model_json_schema()["x-kubernetes-validations"]
    environment = cel.NewEnv(variables={"self": cel.Type.DYN})
    by_cel = all(
        environment.compile(rule["rule"]).eval(data={"self": spec}).value() for rule in rules
    )
    try:
        LabelledDataset.model_validate(spec)
    except ValidationError:
        assert not by_cel
    else:
        assert by_cel


def test_a_labelled_set_has_the_rules_of_any_set() -> None:
    own = DatasetSpec.model_json_schema()["x-kubernetes-validations"]
    assert LabelledDataset.model_json_schema()["x-kubernetes-validations"][:-1] == own


def test_what_is_not_said_is_not_part_of_the_hash() -> None:
    spec = LabelledDataset.model_validate({"uri": "file:///v/a.npz", "format": "NPZ"})
    shaped = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert shaped == {"uri": "file:///v/a.npz", "format": "NPZ"}
