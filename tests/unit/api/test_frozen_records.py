"""What earlier versions left in a cluster is read by this one, and goes on from there.

The files are made by `tests/unit/decide/frozen/make.py`, which says with which versions. A status
is the only record of a release, so there is no second place to read it from: a field that a later
version needs must be one that an earlier version did not have to write.
"""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import create_model

from lockstep_operator.api.objects import Object, parse_index, parse_model, parse_release
from lockstep_operator.api.release import EmbeddingReleaseSpec, Images
from tests.unit.decide.frozen.contracts import STATUSES, contracts, fields, required_fields
from tests.unit.decide.worlds import World

pytestmark = pytest.mark.unit

FROZEN = Path(__file__).parents[1] / "decide/frozen"
REQUIRED = sorted(FROZEN.glob("*/required_fields.json"))
MOMENTS = sorted(set(FROZEN.glob("*/*.json")) - set(REQUIRED))
PARSE: dict[str, Any] = {
    "EmbeddingModel": parse_model,
    "VectorIndex": parse_index,
    "EmbeddingRelease": parse_release,
}
each_moment = pytest.mark.parametrize("path", MOMENTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
each_version = pytest.mark.parametrize("path", REQUIRED, ids=lambda p: p.parent.name)


def objects(path: Path) -> list[Object]:
    found: list[Object] = json.loads(path.read_text())["objects"]
    return found


def world(path: Path) -> World:
    """A cluster that holds the records, and none of what they own."""
    moment = json.loads(path.read_text())
    found = World(
        now=datetime.strptime(moment["now"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC),
        gateway_api=moment["gatewayAPI"],
        tended=moment["gatewayAPI"],
    )
    # What it makes from here on has later uids and versions than what is there.
    found._serial = 10_000
    for raw in moment["objects"]:
        key = raw["kind"], raw["metadata"]["name"]
        found.objects[key] = raw
        found.tell(key)
    return found


def test_there_are_frozen_records() -> None:
    assert len(MOMENTS) >= 60 and REQUIRED


@each_moment
def test_a_frozen_object_is_read(path: Path) -> None:
    refused = json.loads(path.read_text())["invalid"]
    for raw in objects(path):
        if f"{raw['kind']}/{raw['metadata']['name']}" in refused:
            with pytest.raises(ValueError, match="validation error"):
                PARSE[raw["kind"]](raw)
        else:
            PARSE[raw["kind"]](raw)


@each_moment
def test_a_frozen_status_is_written_as_it_was(path: Path) -> None:
    for raw in objects(path):
        status = STATUSES[raw["kind"]].model_validate(raw["status"])
        written = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert json.dumps(written, sort_keys=True) == json.dumps(raw["status"], sort_keys=True)


@each_moment
def test_a_frozen_model_goes_on(path: Path) -> None:
    """Everything that the records own is gone: it is made again, and the model comes to rest."""
    found = world(path)
    before = copy.deepcopy(found.objects)
    found.decide()
    assert found.objects == before, "a decision changes nothing that it reads"
    found.run(40)


@each_version
def test_no_field_has_become_required(path: Path) -> None:
    """An object of that version would be unreadable. Contracts at new places are free to ask."""
    then, now = json.loads(path.read_text()), required_fields()
    for place, names in then.items():
        new = set(now.get(place, ())) - set(names)
        assert not new, f"{place}: {sorted(new)} must have a default: {path.parent.name} has none"


@each_version
def test_every_contract_of_a_release_has_its_place_in_the_list(path: Path) -> None:
    """The list was made from the whole tree: spec and status, down to what Jobs report."""
    known = set(json.loads(path.read_text()))
    assert known >= {
        "EmbeddingRelease.spec",
        "EmbeddingRelease.spec.images",
        "EmbeddingRelease.spec.reuse.training",
        "EmbeddingRelease.spec.indexes[].index",
        "EmbeddingRelease.status.attempts",
        "EmbeddingRelease.status.evaluation.recall[].candidate",
        "EmbeddingRelease.status.gates[]",
        "EmbeddingModel.status.lastHandled[]",
    }


def test_an_image_that_a_later_version_needs_would_be_noticed() -> None:
    """The list catches it, because the frozen releases could not be read."""
    asking, optional = (
        create_model("Images", __base__=Images, monitor=monitor)
        for monitor in ((str, ...), (str | None, None))
    )
    raw = next(r for r in objects(MOMENTS[0].with_name("serving.json")) if "images" in r["spec"])
    later = create_model("Spec", __base__=EmbeddingReleaseSpec, images=(asking, ...))
    with pytest.raises(ValueError, match=r"images\.monitor"):
        later.model_validate(raw["spec"])
    found = dict(contracts(later, "EmbeddingRelease.spec"))["EmbeddingRelease.spec.images"]
    needed = {name for name, field in fields(found) if field.is_required()}
    known = json.loads(REQUIRED[0].read_text())["EmbeddingRelease.spec.images"]
    assert needed - set(known) == {"monitor"}
    later = create_model("Spec", __base__=EmbeddingReleaseSpec, images=(optional, ...))
    later.model_validate(raw["spec"])
