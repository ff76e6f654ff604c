"""The rules of the schemas, as the API server evaluates them: who is refused, in which words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.support.bad_gates import GOOD_CHANGES
from tests.cluster.support.bad_specs import BadSpec
from tests.cluster.support.never_pass import FINE_ALL_THE_SAME, NEVER_PASS
from tests.cluster.support.specs import GOOD_IMPORT, GOOD_INDEX, GOOD_MODEL, spoiled
from tests.unit.api.support.rules import refusals

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("bad", NEVER_PASS, ids=lambda bad: bad.name)
def test_what_could_never_pass_is_refused(bad: BadSpec) -> None:
    told = refusals(spoiled(bad.good, bad.changes))
    assert any(all(word in one for word in bad.words) for one in told), told


@pytest.mark.parametrize("name", FINE_ALL_THE_SAME)
def test_its_neighbours_are_not(name: str) -> None:
    good, changes = FINE_ALL_THE_SAME[name]
    assert refusals(spoiled(good, changes)) == []


@pytest.mark.parametrize(
    "good",
    [GOOD_MODEL, GOOD_IMPORT, GOOD_INDEX, spoiled(GOOD_MODEL, GOOD_CHANGES)],
    ids=["model", "import", "index", "gates"],
)
def test_what_they_are_made_of_is_fine(good: dict[str, Any]) -> None:
    assert refusals(good) == []
