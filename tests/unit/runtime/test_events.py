"""The brakes of Events."""

from __future__ import annotations

import pytest

from lockstep_operator.runtime.events import TokenBucket

pytestmark = pytest.mark.unit


def test_the_token_bucket_bounds_bursts_and_rates() -> None:
    clock = [0.0]
    bucket = TokenBucket(burst=3, per_second=2.0, clock=lambda: clock[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock[0] = 0.5
    assert [bucket.take(), bucket.take()] == [True, False]
