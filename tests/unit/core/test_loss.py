"""`training.loss`, `training.mining`: what fits together, told alike by CEL and by pydantic."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from cel_expr_python import cel
from pydantic import ValidationError

from lockstep_core.protocol.training import Distance, LossName, LossSpec, TrainingSpec

pytestmark = pytest.mark.unit

LEAST: dict[str, Any] = {
    "data": {"uri": "file:///data.npz", "format": "NPZ"},
    "encoder": {"kind": "MLP", "dimension": 32},
    "budget": {"maxSteps": 10},
}


def training(**parts: Any) -> TrainingSpec:
    return TrainingSpec.model_validate({**LEAST, **parts})


def accepted_by_pydantic(**parts: Any) -> bool:
    try:
        training(**parts)
    except ValidationError:
        return False
    return True


def accepted_by_cel(rules: list[dict[str, str]], value: dict[str, Any]) -> bool:
    environment = cel.NewEnv(variables={"self": cel.Type.DYN})
    return all(
        environment.compile(rule["rule"]).eval(data={"self": value}).value() for rule in rules
    )


LOSSES = [
    {"name": str(name), **fields}
    for name in LossName
    for fields in (
        {},
        {"margin": "0.3"},
        {"distance": "Cosine"},
        {"temperature": "0.2"},
        {"scale": "20"},
        {"softMargin": True},
        {"softMargin": True, "margin": "0.3"},
    )
]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_field_that_the_loss_does_not_read_is_refused_by_both(loss):
    rules = LossSpec.model_json_schema()["x-kubernetes-validations"]
    filled = {"softMargin": False, **loss}
    assert accepted_by_cel(rules, filled) == accepted_by_pydantic(loss=loss)


def test_the_table_of_what_is_read():
    fields = ("margin", "distance", "temperature", "scale")
    values = {"margin": "0.3", "distance": "Cosine", "temperature": "0.2", "scale": "20"}
    read = {
        name: [f for f in fields if accepted_by_pydantic(loss={"name": name, f: values[f]})]
        for name in LossName
    }
    assert read == {
        "Triplet": ["margin", "distance"],
        "Contrastive": ["margin", "distance"],
        "InfoNCE": ["temperature"],
        "SupCon": ["temperature"],
        "ProxyAnchor": ["margin", "scale"],
        "ArcFace": ["margin", "scale"],
    }


MININGS = [
    {"loss": loss, "mining": mining}
    for loss, mining in itertools.product(
        [*({"name": str(name)} for name in LossName), {"name": "Triplet", "softMargin": True}],
        [{}, {"strategy": "BatchHard"}, {"strategy": "AllSemiHard"}, {"skipHardest": 2},
         {"memory": {"size": 64}}],
    )
]  # fmt: skip


@pytest.mark.parametrize("parts", MININGS, ids=str)
def test_mining_that_does_not_fit_the_loss_is_refused_by_both(parts):
    schema = TrainingSpec.model_json_schema()
    rules = [rule for rule in schema["x-kubernetes-validations"] if "self.loss" in rule["rule"]]
    assert len(rules) == 3
    filled = {
        "loss": {"softMargin": False, **parts["loss"]},
        "mining": {"strategy": "SemiHard", "skipHardest": 0, **parts["mining"]},
    }
    assert accepted_by_cel(rules, filled) == accepted_by_pydantic(**parts)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"loss": {"name": "InfoNCE", "margin": "0.3"}}, "`margin` must not be set unless `name`"),
        ({"loss": {"softMargin": True, "margin": "0.3"}}, "it takes the margin's place"),
        ({"loss": {"name": "Hinge"}}, "'Triplet', 'Contrastive'"),
        ({"loss": {"name": ["Triplet"]}}, "name"),
        ({"loss": {"name": "SupCon"}, "mining": {"skipHardest": 1}}, "`mining.skipHardest`"),
        ({"loss": {"name": "ArcFace"}, "mining": {"memory": {"size": 9}}}, "learned vectors"),
        ({"mining": {"skipHardest": 65}}, "less than or equal to 64"),
        ({"mining": {"memory": {"size": 0}}}, "greater than or equal to 1"),
        ({"mining": {"memory": {}}}, "size"),
        ({"batch": {"chunkSize": 0}}, "greater than or equal to 1"),
        ({"encoder": {"kind": "MLP", "dimension": 32, "matryoshkaDimensions": [32]}}, "(32)"),
        ({"encoder": {"kind": "MLP", "matryoshkaDimensions": [8, 8]}}, "only once"),
        ({"encoder": {"kind": "MLP", "matryoshkaDimensions": []}}, "at least 1"),
    ],
    ids=str,
)
def test_errors_name_the_field_and_what_must_hold(parts, said):
    with pytest.raises(ValidationError) as caught:
        training(**parts)
    assert said in str(caught.value)


def test_dimensions_are_kept_in_rising_order():
    encoder = {"kind": "MLP", "dimension": 32, "matryoshkaDimensions": [16, 4]}
    assert training(encoder=encoder).encoder.matryoshka_dimensions == (4, 16)


@pytest.mark.parametrize("name", list(LossName))
def test_a_default_that_is_written_out_equals_one_that_is_left_out(name):
    bare = LossSpec(name=name)
    written = {
        field: str(value)
        for field, value in (
            ("margin", {"Triplet": "0.2", "Contrastive": "1.0"}.get(name)),
            ("distance", "Euclidean" if name in ("Triplet", "Contrastive") else None),
            ("temperature", "0.1" if name in ("InfoNCE", "SupCon") else None),
        )
        if value
    }
    assert LossSpec.model_validate({"name": name, **written}) == bare
    assert LossSpec.model_validate({"name": name, **written}).model_dump(
        exclude_defaults=True
    ) == bare.model_dump(exclude_defaults=True)


def test_numbers_are_those_of_the_loss():
    assert LossSpec().number("margin") == 0.2
    assert LossSpec(margin="0.35").number("margin") == 0.35
    assert LossSpec(name="Contrastive").number("margin") == 1.0
    assert LossSpec(name="ArcFace").number("scale") == 64.0
    assert LossSpec().metric() is Distance.EUCLIDEAN
    assert LossSpec(name="InfoNCE").metric() is Distance.COSINE
    with pytest.raises(KeyError):
        LossSpec(name="InfoNCE").number("margin")


def test_the_value_at_collapse_is_that_of_equal_distances():
    assert LossSpec().value_at_collapse() == 0.2
    assert LossSpec(soft_margin=True).value_at_collapse() == math.log(2)
    assert LossSpec(name="InfoNCE").value_at_collapse() is None
