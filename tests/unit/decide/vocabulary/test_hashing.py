"""The hash of a space over versions: fields that came later leave the old specs' hashes alone."""

from __future__ import annotations

import pytest

from lockstep_core.protocol.training import TrainingSpec
from lockstep_operator.decide.vocabulary.hashing import space_hash

pytestmark = pytest.mark.unit

LEAST = {
    "data": {"uri": "file:///artifacts/glyphs.npz", "format": "NPZ"},
    "encoder": {"kind": "CNN"},
    "budget": {"maxSteps": 400},
}
# What an API server filled in while `margin` and `distance` still had defaults in the schema.
FILLED_IN = {"loss": {"name": "Triplet", "margin": "0.2", "distance": "Euclidean"}}


def hashed(**parts: object) -> str:
    return space_hash(TrainingSpec.model_validate({**LEAST, **parts}), "file:///artifacts")


def test_numbers_that_an_api_server_filled_in_earlier_train_nothing_anew():
    assert hashed(**FILLED_IN) == hashed() == "6520e462a06098a5"


@pytest.mark.parametrize(
    "parts",
    [
        {"loss": {"margin": "0.3"}},
        {"loss": {"name": "Contrastive"}},
        {"loss": {"softMargin": True}},
        {"loss": {"auxiliary": {"crossEntropy": "0.5"}}},
        {"mining": {"skipHardest": 1}},
        {"mining": {"memory": {"size": 64}}},
        {"encoder": {"kind": "CNN", "matryoshkaDimensions": [32]}},
        # An encoder that ran out of memory is given chunks: that must be a release of its own.
        {"batch": {"chunkSize": 64}},
    ],
    ids=str,
)
def test_what_shapes_the_space_changes_the_hash(parts):
    assert hashed(**parts) != hashed()
