"""Records are written through `replace`, which checks what it is given."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from lockstep_operator.api.release import (
    EmbeddingReleaseStatus,
    Stage,
)
from lockstep_operator.api.traffic_records import StepRecord, Watch, Weights

pytestmark = pytest.mark.unit

NOW = "2026-01-31T12:00:00Z"
FULL = EmbeddingReleaseStatus(
    stage=Stage.CANARY,
    paused_at=NOW,
    pause_reason="StepPause",
    paused_seconds=5,
    step=StepRecord(index=1, hash="abc", started_at=NOW),
    weights=Weights(asked=25, achieved=25, since=NOW),
    approved_at=NOW,
    watch=Watch(started_at=NOW, replaced="glyphs-r1"),
)


@pytest.mark.parametrize(
    "fields",
    [
        {"paused_secondz": 5},
        {"paused_seconds": "five"},
        {"stage": "Nowhere"},
        {"weights": {"asked": 101, "achieved": 0, "since": NOW}},
    ],
)
def test_what_is_no_field_or_no_value_of_it_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FULL.replace(**fields)


def test_other_fields_stay_as_they_are() -> None:
    changed = FULL.replace(stage=Stage.PROMOTING)
    assert changed.stage is Stage.PROMOTING
    assert changed.to_wire() == FULL.to_wire() | {"stage": "Promoting"}


@pytest.mark.parametrize(
    ("group", "wire"),
    [
        ("pause", {"pausedAt", "pauseReason", "pausedSeconds"}),
        ("canary", {"step", "weights", "approvedAt"}),
        ("after_promotion", {"watch"}),
    ],
)
def test_one_none_resets_a_group(group: str, wire: set[str]) -> None:
    assert FULL.to_wire().keys() - FULL.replace(**{group: None}).to_wire().keys() == wire


def test_a_field_that_is_named_is_not_reset_with_its_group() -> None:
    step = StepRecord(index=2, hash="abc", started_at=NOW)
    changed = FULL.replace(canary=None, step=step)
    assert changed.step == step and changed.weights is None and changed.approved_at is None


def test_a_group_is_no_field() -> None:
    with pytest.raises(ValueError, match="`canary` is a group of fields"):
        FULL.replace(canary={"step": None})


def test_groups_name_fields_and_share_none() -> None:
    members = [name for group in EmbeddingReleaseStatus.GROUPS.values() for name in group]
    assert set(members) <= EmbeddingReleaseStatus.model_fields.keys()
    assert len(members) == len(set(members))
    assert not EmbeddingReleaseStatus.GROUPS.keys() & EmbeddingReleaseStatus.model_fields.keys()
