"""The table of gate types, and the rules of the schema that are made from it."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_operator.api.gate_rows import (
    EVALUATION,
    SCRAPE,
    GatePhase,
    GateRow,
    field_rules,
    is_none_of,
    is_one_of,
    named,
    named_as_judged,
    required_rules,
)
from lockstep_operator.api.gates import (
    GATES,
    NEED_HELD_OUT,
    NEED_MONITOR,
    NEED_RECALL,
    NEED_STABLE,
    OFFLINE,
    Gate,
    GateType,
)

pytestmark = pytest.mark.unit

# Fields that every gate may set, but for `minSamples`, which has a rule of its own.
COMMON = {"name", "type", "minSamples", "onInconclusive", "dryRun"}
TOY = GateRow(
    SCRAPE,
    fields=("maxToys", "minToys", "k"),
    required=(("maxToys", "minToys"), ("k",)),
    message="`maxToys` or `minToys`, and `k`, must be set for type `Toy`",
    at="maxToys",
)


def rule_at(rules: list[dict[str, str]], field: str) -> dict[str, str]:
    (one,) = (rule for rule in rules if rule["fieldPath"] == f".{field}")
    return one


def test_each_type_has_one_row() -> None:
    assert list(GATES) == list(GateType)


@pytest.mark.parametrize("kind", GateType)
def test_a_row_names_fields_that_a_gate_has(kind: GateType) -> None:
    row = GATES[kind]
    fields = {str(field.alias) for field in Gate.model_fields.values()}
    bounds = {field for group in row.required for field in group}
    assert set(row.fields) <= fields - COMMON
    assert bounds <= set(row.fields) and row.at in bounds
    assert all(f"`{field}`" in row.message for field in bounds)
    assert not row.needs_recall or (row.reading is EVALUATION and "k" in row.fields)


def test_every_field_of_a_gate_is_common_or_belongs_to_types() -> None:
    owned = {rule["fieldPath"].removeprefix(".") for rule in field_rules(GATES)}
    assert owned | COMMON == {str(field.alias) for field in Gate.model_fields.values()}
    assert not owned & COMMON


def test_what_hangs_on_a_type_is_asked_of_its_row() -> None:
    assert OFFLINE == NEED_RECALL == (GateType.RECALL,)
    assert NEED_MONITOR == (GateType.GEOMETRY, GateType.DRIFT)
    assert NEED_STABLE == (GateType.DRIFT,)
    assert NEED_HELD_OUT == (GateType.RECALL, GateType.LIVE_RECALL)
    gate: dict[str, Any] = {"name": "a", "minSamples": 9}
    recall = Gate.model_validate(gate | {"type": "Recall", "min": "0.9"})
    live = Gate.model_validate(gate | {"type": "LiveRecall", "min": "0.9"})
    assert (recall.phase, recall.needs_recall) == (GatePhase.OFFLINE, True)
    assert (live.phase, live.needs_recall) == (GatePhase.LIVE, False)


def test_rules_read_as_they_always_did() -> None:
    bounds, fields = required_rules(GATES), field_rules(GATES)
    assert [rule["rule"] for rule in bounds] == [
        "self.type != 'Recall' || has(self.min) || has(self.minGainOverBaseline)"
        " || has(self.maxRegression)",
        "self.type != 'LiveRecall' || has(self.min)",
        "self.type != 'Latency' || (has(self.quantile) && has(self.maxMilliseconds))",
        "self.type != 'ErrorRatio' || has(self.maxRatio)",
        "self.type != 'Geometry' || has(self.maxLoss)",
        "self.type != 'Drift' || has(self.maxDistance)",
        "self.type != 'Prometheus' || (has(self.prometheus)"
        " && (has(self.minValue) || has(self.maxValue)))",
        "(self.type == 'Prometheus') != has(self.minSamples)",
    ]
    assert rule_at(fields, "k") == {
        "rule": "!has(self.k) || self.type == 'Recall' || self.type == 'LiveRecall'",
        "message": "`k` is for type `Recall` and `LiveRecall`",
        "fieldPath": ".k",
    }
    assert rule_at(fields, "count")["message"] == (
        "`count` is for type `LiveRecall` and `Latency` and `ErrorRatio` and `Geometry` and `Drift`"
        " and `Prometheus`"
    )
    assert rule_at(fields, "confidence")["message"] == (
        "`confidence` is for type `Recall` and `LiveRecall` and `Latency` and `ErrorRatio` and"
        " `Geometry` and `Drift`"
    )


def test_another_row_is_another_type_in_every_rule() -> None:
    rows = {**GATES, "Toy": TOY}
    bound = next(rule for rule in required_rules(rows) if "'Toy'" in rule["rule"])
    assert bound == {
        "rule": "self.type != 'Toy' || ((has(self.maxToys) || has(self.minToys)) && has(self.k))",
        "message": TOY.message,
        "fieldPath": ".maxToys",
    }
    fields = field_rules(rows)
    assert rule_at(fields, "maxToys")["rule"] == "!has(self.maxToys) || self.type == 'Toy'"
    for field in ("k", "confidence", "count"):
        assert rule_at(fields, field)["message"].endswith(" and `Toy`")
    assert "Toy" not in rule_at(fields, "min")["rule"]


def test_rules_about_several_types_are_one_operand() -> None:
    assert is_one_of("g", ["A"]) == "g.type == 'A'"
    assert is_one_of("g", ["A", "B"]) == "(g.type == 'A' || g.type == 'B')"
    assert is_none_of("g", ["A", "B"]) == "g.type != 'A' && g.type != 'B'"
    assert named(["A", "B"]) == "`A` and `B`"
    assert (named_as_judged(["A"]), named_as_judged(["A", "B"])) == (
        "`A` is judged",
        "`A` and `B` are judged",
    )
