"""What people apply: a model, an index, and the constants that every world shares."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from lockstep_operator.api.objects import Object
from lockstep_operator.api.release import Images
from lockstep_operator.decide.snapshot.observed import Settings

NAMESPACE, MODEL = "shop", "glyphs"
START = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SETTINGS = Settings(images=Images(trainer="trainer:1", encoder="encoder:1", indexer="indexer:1"))
DATA = "file:///artifacts/datasets/glyphs.npz"
GATE = {
    "name": "relevance",
    "type": "Recall",
    "k": 1,
    "min": "0.95",
    "minGainOverBaseline": "0.05",
    "minSamples": 300,
}
# A gate of live requests.
ERRORS = {"name": "errors", "type": "ErrorRatio", "maxRatio": "0.05", "minSamples": 100}
# The kinds whose status the operator writes.
OWN = ("EmbeddingModel", "VectorIndex", "EmbeddingRelease", "DriftPolicy")
# As a person writes it who watches the model.
POLICY = "watch"
# A canary with a pause that ends by itself, and one that waits for a person.
STEPS = [
    {"setWeight": 25},
    {"pause": {"seconds": 60}},
    {"setWeight": 50},
    {"pause": {}},
    {"setWeight": 100},
]


def model_spec(**changes: Any) -> Object:
    spec: Object = {
        "artifacts": {"uri": "file:///artifacts", "claimName": "lockstep-artifacts"},
        "training": {
            "data": {"uri": DATA, "format": "NPZ"},
            "encoder": {"kind": "CNN", "dimension": 64},
            "budget": {"maxSteps": 400},
        },
        "rollout": {"gates": [copy.deepcopy(GATE)]},
    }
    return spec | changes


def index_spec(**changes: Any) -> Object:
    spec: Object = {
        "modelRef": {"name": MODEL},
        "source": {"uri": DATA, "format": "NPZ"},
        "index": {"type": "HNSW"},
    }
    return spec | changes


def policy_spec(**changes: Any) -> Object:
    return {"targetRef": {"name": MODEL}} | changes


def own_object(kind: str, name: str, spec: Object) -> Object:
    """A new object of a kind of ours, as a person writes it."""
    return {
        "apiVersion": "lockstep.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": copy.deepcopy(spec),
    }


def set_field(spec: Object, path: str, value: Any) -> None:
    """Sets the field at a dotted path, such as `rollout.paused`, and makes its parents."""
    *parents, last = path.split(".")
    for parent in parents:
        spec = spec.setdefault(parent, {})
    spec[last] = value
