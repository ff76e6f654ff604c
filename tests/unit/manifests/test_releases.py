"""The EmbeddingRelease object."""

from __future__ import annotations

import pytest

from lockstep_operator import manifests
from lockstep_operator.api.release import EmbeddingReleaseSpec
from tests.unit.manifests.support import samples

pytestmark = pytest.mark.unit


def test_the_release_object_carries_the_frozen_spec() -> None:
    model = samples.model()
    spec = EmbeddingReleaseSpec.model_validate(samples.release_spec(4))
    found = manifests.release_manifest(model, 4, spec)
    assert found["metadata"]["name"] == "glyphs-r4"
    assert EmbeddingReleaseSpec.model_validate(found["spec"]) == spec
    assert "status" not in found
    with pytest.raises(ValueError, match="spec of glyphs-r4 given for glyphs-r5"):
        manifests.release_manifest(model, 5, spec)
