"""All builders: the same bytes each time."""

from __future__ import annotations

import json

import pytest

from tests.unit.manifests.support.built import (
    everything,
)

pytestmark = pytest.mark.unit


def test_manifests_are_the_same_bytes_each_time() -> None:
    assert json.dumps(list(everything())) == json.dumps(list(everything()))
