"""Times as they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_operator.decide.vocabulary import clock

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@given(st.floats(min_value=0, max_value=10**7), st.integers(min_value=0, max_value=999_999))
def test_a_later_time_is_never_too_early(seconds: float, micros: int) -> None:
    now = NOW + timedelta(microseconds=micros)
    late = clock.parse(clock.later(now, seconds)) - now
    assert timedelta(seconds=seconds) - timedelta(microseconds=2) <= late
    assert late < timedelta(seconds=seconds + 1.001)
