"""The times of the Lease."""

from __future__ import annotations

import pytest

from lockstep_operator.runtime.leader import LeaseTimes

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("duration", [3.0, 15.0, 60.0])
def test_every_write_ends_before_another_may_lead(duration: float) -> None:
    times = LeaseTimes(duration)
    assert times.write_window + times.write_timeout <= duration
    assert times.renew_every < times.write_window < times.renew_deadline < duration
    assert times.poll_every <= 1.0
