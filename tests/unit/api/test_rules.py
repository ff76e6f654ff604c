"""The rules of the schemas, as the API server evaluates them: who is refused, in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep_operator.api.objects import API_VERSION
from tests.cluster.support.bad_gates import GOOD_CHANGES
from tests.cluster.support.bad_policies import FINE_POLICIES, GOOD_POLICY, POLICY_RULES
from tests.cluster.support.bad_specs import BadSpec
from tests.cluster.support.never_pass import FINE_ALL_THE_SAME, NEVER_PASS
from tests.cluster.support.specs import GOOD_IMPORT, GOOD_INDEX, GOOD_MODEL, spoiled
from tests.unit.api.support.rules import refusals

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("bad", (*NEVER_PASS, *POLICY_RULES), ids=lambda bad: bad.name)
def test_what_could_never_pass_is_refused(bad: BadSpec) -> None:
    told = refusals(spoiled(bad.good, bad.changes))
    assert any(all(word in one for word in bad.words) for one in told), told


@pytest.mark.parametrize("name", FINE_ALL_THE_SAME)
def test_its_neighbours_are_not(name: str) -> None:
    good, changes = FINE_ALL_THE_SAME[name]
    assert refusals(spoiled(good, changes)) == []


@pytest.mark.parametrize(
    "good",
    [GOOD_MODEL, GOOD_IMPORT, GOOD_INDEX, spoiled(GOOD_MODEL, GOOD_CHANGES), GOOD_POLICY],
    ids=["model", "import", "index", "gates", "policy"],
)
def test_what_they_are_made_of_is_fine(good: dict[str, Any]) -> None:
    assert refusals(good) == []


@pytest.mark.parametrize("name", FINE_POLICIES)
def test_policies_that_are_fine(name: str) -> None:
    assert refusals(spoiled(GOOD_POLICY, FINE_POLICIES[name])) == []


def _shipped() -> dict[str, dict[str, Any]]:
    """Every object of ours in the examples, by file and place."""
    found = {}
    for path in sorted((ROOT / "examples").rglob("*.yaml")):
        for place, body in enumerate(yaml.safe_load_all(path.read_text())):
            if (body or {}).get("apiVersion") == API_VERSION:
                found[f"{path.relative_to(ROOT)}-{place}"] = body
    return found


@pytest.mark.parametrize("name", _shipped())
def test_no_example_is_refused(name: str) -> None:
    assert refusals(_shipped()[name]) == []
