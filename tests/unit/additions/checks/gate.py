"""The toy gate is in the CRD with its rules, has one judge, and decides an analysis."""

from __future__ import annotations

from typing import Any

import pytest
from cel_expr_python import cel

from lockstep_operator.api.gates import GATES, GateType
from lockstep_operator.decide.snapshot.measurements import Tally
from tests.unit.additions.checks.support.generated import schema_of
from tests.unit.api import test_gate_rows
from tests.unit.decide.gates import test_judges
from tests.unit.decide.gates.lab import Lab
from tests.unit.tallies import tally_of

GATE = {"name": "refused", "type": "RefusalRatio", "maxRatio": "0.05", "minSamples": 100}


def refused_by_cel(gate: dict[str, Any]) -> list[str]:
    """The messages of the rules that a gate breaks, as the API server would say them."""
    schema = schema_of("embeddingmodels", "spec.rollout.gates")["items"]
    environment = cel.NewEnv(variables={"self": cel.Type.DYN})
    return [
        rule["message"]
        for rule in schema["x-kubernetes-validations"]
        if not environment.compile(rule["rule"]).eval(data={"self": gate}).value()
    ]


def test_the_api_server_knows_the_type_and_its_bounds() -> None:
    schema = schema_of("embeddingmodels", "spec.rollout.gates")["items"]
    assert "RefusalRatio" in schema["properties"]["type"]["enum"]
    assert refused_by_cel(GATE) == []
    without = {key: value for key, value in GATE.items() if key != "maxRatio"}
    assert refused_by_cel(without) == ["`maxRatio` must be set for type `RefusalRatio`"]
    assert any("`k` is for type" in message for message in refused_by_cel(GATE | {"k": 3}))


def test_the_tables_have_it() -> None:
    test_gate_rows.test_each_type_has_one_row()
    test_judges.test_each_type_has_one_judge_and_no_judge_is_without_a_type()
    for kind in GateType:
        test_judges.test_a_judge_takes_what_its_row_reads(kind)
    test_judges.test_every_reading_has_its_phase_and_a_way_to_be_read()
    assert GATES[GateType.REFUSAL_RATIO].fields == ("maxRatio",)


@pytest.mark.parametrize(("refused", "verdict"), [(2, "Pass"), (300, "Fail")])
def test_it_decides_an_analysis(refused: int, verdict: str) -> None:
    lab = Lab(GATE).pod("a")
    counted = tally_of({"200": 1000 - refused, "429": refused})
    found = lab.play("refused", Tally(), counted)
    assert found.verdict == verdict and f"refused {refused} of 1000" in found.message
