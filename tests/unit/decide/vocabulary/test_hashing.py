"""Hashes of what is asked for: what they cover, and what they do not depend on."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_core.protocol.training import TrainingSpec
from lockstep_operator.api.release import FrozenIndex
from lockstep_operator.decide.vocabulary.hashing import index_hash, space_hash

pytestmark = pytest.mark.unit

TRAINING = {
    "data": {"uri": "file:///artifacts/x.npz", "format": "NPZ"},
    "encoder": {"kind": "CNN", "dimension": 64},
    "budget": {"maxSteps": 400},
}
# The least that a training must name.
LEAST = {
    "data": {"uri": "file:///artifacts/glyphs.npz", "format": "NPZ"},
    "encoder": {"kind": "CNN"},
    "budget": {"maxSteps": 400},
}
# What an API server filled in while `margin` and `distance` still had defaults in the schema.
FILLED_IN = {"loss": {"name": "Triplet", "margin": "0.2", "distance": "Euclidean"}}


def frozen(name: str, **changes: Any) -> FrozenIndex:
    fields = {"source": TRAINING["data"], "index": {}, "objectives": {}} | changes
    return FrozenIndex.model_validate({"name": name, **fields})


def test_the_space_hash_covers_what_shapes_the_space_and_the_store() -> None:
    one = space_hash(TrainingSpec.model_validate(TRAINING), "file:///artifacts")
    assert one == space_hash(
        TrainingSpec.model_validate({**TRAINING, "seed": 0}), "file:///artifacts"
    )
    assert one != space_hash(
        TrainingSpec.model_validate({**TRAINING, "seed": 1}), "file:///artifacts"
    )
    assert one != space_hash(TrainingSpec.model_validate(TRAINING), "file:///elsewhere")
    often = TrainingSpec.model_validate(TRAINING | {"checkpoint": {"everySteps": 5, "keep": 9}})
    assert one == space_hash(often, "file:///artifacts")
    gentle = TrainingSpec.model_validate(TRAINING | {"collapse": {"maxRewinds": 2}})
    assert one != space_hash(gentle, "file:///artifacts")
    # Stored releases carry it: another value would train every model anew.
    assert one == "6ae1b50deeb03a49"


def test_the_index_hash_does_not_depend_on_the_order() -> None:
    a, b = frozen("a"), frozen("b", index={"type": "Flat"})
    assert index_hash([a, b]) == index_hash([b, a]) != index_hash([a])
    assert index_hash([a]) != index_hash([frozen("a", objectives={"recall": {"min": "0.9"}})])


def test_how_many_processes_train_is_no_other_space() -> None:
    plain = {
        "data": {"uri": "file:///artifacts/x.npz", "format": "NPZ"},
        "encoder": {"kind": "CNN", "dimension": 64},
        "budget": {"maxSteps": 400},
    }
    many = TrainingSpec.model_validate(plain | {"distributed": {"pods": 2, "processesPerPod": 4}})
    one = TrainingSpec.model_validate(plain)
    assert space_hash(one, "file:///a") == space_hash(many, "file:///a")
    with pytest.raises(ValueError, match=r"must not exceed `batch\.classes` x.*\(256 and 8\)"):
        small = {"batch": {"classes": 2, "perClass": 4}, "distributed": {"pods": 256}}
        TrainingSpec.model_validate(plain | small)


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
