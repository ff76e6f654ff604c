"""Whose an object is: labels and owners."""

from __future__ import annotations

import pytest

from lockstep_operator import manifests
from lockstep_operator.api.objects import Object, parse_model
from tests.unit.manifests.support import samples
from tests.unit.manifests.support.built import (
    everything,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "found", list(everything()), ids=lambda o: f"{o['kind']}-{o['metadata']['name']}"
)
def test_every_object_has_its_labels_and_one_controller(found: Object) -> None:
    labels, (owner,) = found["metadata"]["labels"], found["metadata"]["ownerReferences"]
    assert labels["lockstep.dev/model"] == "glyphs"
    assert labels["app.kubernetes.io/managed-by"] == "lockstep"
    assert labels["lockstep.dev/component"] == labels["app.kubernetes.io/component"]
    assert owner["controller"] and owner["blockOwnerDeletion"]
    if found["metadata"]["name"] == "glyphs":
        assert (owner["kind"], owner["uid"]) == ("EmbeddingModel", "em-uid")
    else:
        assert (owner["kind"], owner["uid"]) == ("EmbeddingRelease", "r2-uid")
        assert labels["lockstep.dev/release"] == "glyphs-r2"


def test_an_object_without_uid_owns_nothing() -> None:
    raw = {"metadata": {"name": "glyphs", "namespace": "shop"}, "spec": samples.model().raw["spec"]}
    unsaved = parse_model(raw)
    with pytest.raises(ValueError, match="EmbeddingModel glyphs has no uid"):
        manifests.entry_service(unsaved, samples.release())
