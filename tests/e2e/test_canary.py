"""A canary under 16 connections of real queries: the cheap half of the fault matrix.

The scenarios are those of `make reliability`, in one world. They build on one another: a rollback
needs something that it can return to.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.support.ground import Ground
from tests.e2e.support.kube import Kube
from tests.reliability import canary, defects
from tests.reliability.grounds import replicas
from tests.reliability.scenario import run

__all__ = ["canary", "defects"]


@pytest.fixture(scope="module")
def ground(kube: Kube) -> Iterator[Ground]:
    """Release 1 serves, from three pods."""
    ground = replicas(kube, "canary", hold=12)
    yield ground
    ground.close()


@pytest.mark.parametrize(
    "name",
    [
        "promotion",
        "rollback inside the window",
        "abort in the middle",
        "slow encoder",
        "erring encoder",
    ],
)
def test_nothing_fails_or_mixes(ground: Ground, name: str) -> None:
    result = run(name, ground)
    print(result)
    assert result.is_ok, f"{result.error}\n{result}"
    assert result.unchecked == 0 or "encoder" in name, result
