"""Differences of two encoders, query by query."""

from __future__ import annotations

import pytest

from lockstep_encoder.measure import paired

pytestmark = pytest.mark.unit


def test_pairs_need_both_values() -> None:
    nan = float("nan")
    found = paired([1, nan, 0.5, 1], [0, 1, nan, 1])
    assert (found.n, found.mean) == (2, 0.5)
    assert paired([nan], [nan]).n == 0
    with pytest.raises(ValueError, match="equal shapes"):
        paired([1, 0], [1])
