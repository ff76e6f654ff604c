"""`training.encoder`: a field of another kind is refused where no API server looks."""

from __future__ import annotations

from typing import Any

import pytest
from cel_expr_python import cel
from pydantic import ValidationError

from lockstep_core.protocol.training import EncoderSpec, ExportSpec, Int8Spec, Weights

pytestmark = pytest.mark.unit

RULES = EncoderSpec.model_json_schema()["x-kubernetes-validations"]
BASE = {"uri": "file:///artifacts", "digest": f"sha256:{'0' * 64}"}


def accepted_by_cel(wire: dict[str, Any]) -> bool:
    """With the defaults that the API server fills in."""
    environment = cel.NewEnv(variables={"self": cel.Type.DYN})
    filled = {"dimension": 128, "width": 32} | wire
    return all(
        environment.compile(each["rule"]).eval(data={"self": filled}).value() for each in RULES
    )


@pytest.mark.parametrize(
    "wire",
    [
        {"kind": "CNN"},
        {"kind": "CharCNN", "maxLength": 64, "overlong": "Truncate"},
        {"kind": "Transformer", "base": BASE, "pooling": "CLS", "frozenLayers": 2},
        {"kind": "Custom", "entrypoint": "my_nets.text:factory", "maxLength": 10},
    ],
)
def test_a_kind_with_its_own_fields_is_taken(wire: dict[str, Any]) -> None:
    assert EncoderSpec.model_validate(wire).to_wire().items() >= wire.items()
    assert accepted_by_cel(wire)


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ({"kind": "Transformer"}, "`base` must be set with kind Transformer and only with it"),
        ({"kind": "CNN", "base": BASE}, "`base` must be set with kind Transformer"),
        ({"kind": "Custom"}, "`entrypoint` must be set with kind Custom"),
        ({"kind": "MLP", "entrypoint": "a:b"}, "`entrypoint` must be set with kind Custom"),
        ({"kind": "CharCNN", "pooling": "CLS"}, "`pooling` must not be set"),
        ({"kind": "CharCNN", "frozenLayers": 1}, "`frozenLayers` must not be set"),
        ({"kind": "MLP", "maxLength": 9}, "`maxLength` must not be set for kind MLP"),
        ({"kind": "CNN", "overlong": "Refuse"}, "`overlong` must not be set for kind CNN"),
    ],
)
def test_a_field_that_does_nothing_is_refused(wire: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        EncoderSpec.model_validate(wire)
    assert not accepted_by_cel(wire)


def test_an_entrypoint_names_a_module_and_a_function() -> None:
    with pytest.raises(ValidationError, match="entrypoint"):
        EncoderSpec.model_validate({"kind": "Custom", "entrypoint": "os.system"})


def test_a_bound_of_8_bits_is_a_share() -> None:
    assert Int8Spec().min_top10_overlap == "0.95"
    with pytest.raises(ValidationError):
        Int8Spec.model_validate({"minTop10Overlap": "1.5"})


def test_weights_of_full_precision_are_the_default_whether_said_or_not() -> None:
    """A trainer of before the field is told nothing of it, and nothing is trained anew."""
    said = ExportSpec.model_validate({"weights": "Float32"})
    assert said == ExportSpec() and said.to_wire() == {}
    assert ExportSpec.model_validate({"weights": "Float16"}).weights is Weights.FLOAT16
    with pytest.raises(ValidationError, match="weights"):
        ExportSpec.model_validate({"weights": "float16"})
