"""There is always something to compute on."""

from __future__ import annotations

import pytest

from lockstep_trainer.runtime.devices import choose_device

pytestmark = pytest.mark.unit


def test_a_device_is_always_found():
    assert choose_device().type in {"cpu", "cuda", "xpu", "mps"}
