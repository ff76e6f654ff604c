"""Specs that are fine, and how to spoil them."""

from __future__ import annotations

import copy
from typing import Any

GOOD_MODEL: dict[str, Any] = {
    "apiVersion": "lockstep.dev/v1alpha1",
    "kind": "EmbeddingModel",
    "metadata": {"name": "glyphs"},
    "spec": {
        "artifacts": {"uri": "file:///artifacts", "claimName": "lockstep-artifacts"},
        "training": {
            "data": {
                "uri": "file:///artifacts/datasets/glyphs.npz",
                "format": "NPZ",
                "split": {"by": "Class", "evalFraction": "0.3", "seed": 0},
            },
            "encoder": {"kind": "CNN", "dimension": 64},
            "loss": {"name": "Triplet", "margin": "0.2", "distance": "Euclidean"},
            "mining": {"strategy": "SemiHard"},
            "batch": {"classes": 32, "perClass": 4},
            "budget": {"maxSteps": 400},
            "template": {"resources": {"requests": {"cpu": "1", "memory": "2Gi"}}},
        },
        "serving": {"replicas": 2},
        "rollout": {
            "gates": [
                {
                    "name": "relevance",
                    "type": "Recall",
                    "k": 1,
                    "min": "0.95",
                    "minGainOverBaseline": "0.05",
                    "minSamples": 300,
                }
            ]
        },
    },
}

GOOD_IMPORT: dict[str, Any] = {
    **GOOD_MODEL,
    "spec": {
        **{name: part for name, part in GOOD_MODEL["spec"].items() if name != "training"},
        "artifact": {
            "uri": "file:///artifacts/imports/store",
            "digest": "sha256:" + "0" * 64,
        },
        "evaluation": {"data": GOOD_MODEL["spec"]["training"]["data"]},
    },
}

GOOD_INDEX: dict[str, Any] = {
    "apiVersion": "lockstep.dev/v1alpha1",
    "kind": "VectorIndex",
    "metadata": {"name": "glyphs"},
    "spec": {
        "modelRef": {"name": "glyphs"},
        "source": {"uri": "file:///artifacts/datasets/glyphs.npz", "format": "NPZ"},
        "index": {"type": "HNSW"},
        "objectives": {"recall": {"k": 10, "min": "0.95"}},
        "replicas": 2,
    },
}

BUCKET: dict[str, Any] = {
    "uri": "s3://lockstep/models",
    "endpoint": "https://s3.example.org:9000",
    "region": "us-east-1",
    "secretRef": {"name": "store-keys"},
}


class Missing:
    """Takes the field away."""

    def __repr__(self) -> str:
        return "missing"


MISSING = Missing()


def spoiled(good: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of `good` with each dotted path set (or taken away, by MISSING)."""
    found = copy.deepcopy(good)
    for path, value in changes.items():
        *parents, last = path.split(".")
        node: Any = found
        for parent in parents:
            node = node[int(parent)] if isinstance(node, list) else node.setdefault(parent, {})
        key: Any = int(last) if isinstance(node, list) else last
        if isinstance(value, Missing):
            del node[key]
        else:
            node[key] = value
    return found
