"""Sufficient statistics skip what has no value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lockstep_core.quality.statistics import DIGITS, summarise

pytestmark = pytest.mark.unit


@given(st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=30))
def test_summaries_skip_what_has_no_value(values: list[float]) -> None:
    present = [value for value in values if not np.isnan(value)]
    found = summarise(values)
    assert found.n == len(present)
    assert found.mean == pytest.approx(np.mean(present) if present else 0, abs=10**-DIGITS)
    spread = np.std(present, ddof=1) if len(present) > 1 else 0
    assert found.standard_deviation == pytest.approx(spread, abs=10**-DIGITS)


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValidationError):
        summarise([3.0])
