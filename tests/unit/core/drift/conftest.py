"""One world, its features and baselines, made once: they are the costly part of these tests."""

from __future__ import annotations

import numpy as np
import pytest

from lockstep_core.drift.baseline import Baseline
from lockstep_core.drift.baseline_making import from_embeddings
from lockstep_core.drift.features import Features, of_embeddings
from tests.unit.core.drift import world
from tests.unit.core.drift.world import Rows, World


@pytest.fixture(scope="session")
def there() -> World:
    return world.make()


@pytest.fixture(scope="session")
def reference(there: World) -> Rows:
    return there.draw(20_000, np.random.default_rng(1))


@pytest.fixture(scope="session")
def features(reference: Rows) -> Features:
    return of_embeddings(reference, np.random.default_rng(2))


@pytest.fixture(scope="session")
def baseline(reference: Rows, features: Features) -> Baseline:
    """Of held-out embeddings, without time blocks."""
    return from_embeddings(reference, features, np.random.default_rng(3))
