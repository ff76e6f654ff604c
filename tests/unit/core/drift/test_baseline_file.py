"""A baseline as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lockstep_core.drift import baseline_file
from lockstep_core.drift.baseline import Baseline, BlockNull, Source
from lockstep_core.drift.errors import BaselineError
from lockstep_core.drift.geometry import Bands, Gauge

pytestmark = pytest.mark.unit

BASELINE = Baseline(
    Source.TRAFFIC,
    "Query",
    "sha256:" + "a" * 64,
    np.full(1024, 1 / 64),
    5_000,
    0.6,
    0.0017,
    0.024,
    {0.5: 0.6, 0.95: 0.71, 0.99: 0.78},
    BlockNull(24, 600, 1e-5, 4e-4, 6e-4),
    Bands({Gauge.MEAN_COSINE: (0.2, 0.3)}, 600),
)
WIRE = json.loads(baseline_file.to_json(BASELINE))


def test_a_baseline_comes_back_and_is_small() -> None:
    data = baseline_file.to_json(BASELINE)
    assert len(data) < 8 * 1024
    read = baseline_file.from_json(data)
    assert read.digest == BASELINE.digest
    assert (read.blocks, read.geometry) == (BASELINE.blocks, BASELINE.geometry)
    np.testing.assert_array_equal(read.mean, BASELINE.mean)
    assert (read.epsilon_auto, read.epsilon_term) == (BASELINE.epsilon_auto, "SamplingError")
    bare = replace(BASELINE, blocks=None, geometry=None)
    assert baseline_file.from_json(baseline_file.to_json(bare)).digest == bare.digest != read.digest


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"n": 5_001}, "not sha256:"),
        ({"schema": "other"}, "schema"),
        ({"trace": 0}, "trace"),
        ({"trace": float("nan")}, "trace"),
        ({"mean": "AAAA"}, "mean"),
        ({"n": 1}, "`n` is 1"),
        ({"quantiles": [[0.9, 1.0], [0.5, 2.0]]}, "quantiles"),
        ({"quantiles": [[0.5, 1.0], [0.9, 0.5]]}, "quantiles"),
        ({"quantiles": [[0.5, 1.0, 2.0], [0.9, 0.5]]}, "quantiles"),
        ({"geometry": {"n": 500, "bands": {"other": [0, 1]}}}, "other is no gauge"),
        ({"source": "Elsewhere"}, "source"),
        ({"more": 1}, "more"),
    ],
)
def test_a_changed_or_torn_baseline_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BaselineError, match=r"baseline\.json.*again") as refused:
        baseline_file.from_json(json.dumps(WIRE | fields))
    assert says in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"x" * 300_000, b"[" * 50_000])
def test_what_is_no_baseline_is_refused(data: bytes) -> None:
    with pytest.raises(BaselineError):
        baseline_file.from_json(data)
