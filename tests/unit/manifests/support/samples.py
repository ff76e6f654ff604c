"""A model, its releases and an index as the builders see them; nothing here is a test."""

from __future__ import annotations

from typing import Any

from lockstep_operator.api.objects import (
    Index,
    Model,
    Object,
    Release,
    parse_index,
    parse_model,
    parse_release,
)
from lockstep_operator.manifests import JobInputs, JobKind, attempt_job

VOLUME = {"uri": "file:///artifacts", "claimName": "lockstep-artifacts"}
BUCKET = {
    "uri": "s3://lockstep/models",
    "endpoint": "http://s3.storage.svc:7070",
    "region": "us-east-1",
    "secretRef": {"name": "store-keys"},
}
DATA = {"uri": "file:///artifacts/datasets/glyphs.npz", "format": "NPZ"}
TRAINING = {
    "data": DATA,
    "encoder": {"kind": "CNN", "dimension": 64},
    "budget": {"maxSteps": 400},
}
SPACE = "0123456789ab"
ARTIFACT = {"uri": "file:///artifacts/imports/store", "digest": "sha256:" + "9" * 64}


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def model(**spec: Any) -> Model:
    return parse_model(
        {
            "metadata": {"name": "glyphs", "namespace": "shop", "uid": "em-uid", "generation": 1},
            "spec": {"artifacts": VOLUME, "training": TRAINING, **spec},
        }
    )


def index(name: str = "catalogue", **spec: Any) -> Index:
    return parse_index(
        {
            "metadata": {"name": name, "namespace": "shop", "uid": f"{name}-uid"},
            "spec": {"modelRef": {"name": "glyphs"}, "source": DATA, **spec},
        }
    )


def training_facts(letter: str = "a") -> Object:
    return {
        "artifactDigest": digest(letter),
        "modelDigest": digest("b"),
        "preprocessingDigest": digest("c"),
        "pooling": "None",
        "normalisation": "L2",
        "dimension": 64,
        "spaceID": SPACE,
        "steps": 400,
        "trainItems": 9000,
        "seconds": 12.5,
    }


def build_facts(name: str, letter: str) -> Object:
    return {
        "index": name,
        "buildDigest": digest(letter),
        "spaceID": SPACE,
        "sourceDigest": digest("e"),
        "rows": 900,
        "expectedRows": 900,
        "dimension": 64,
        "bytes": 230400,
        "recallK": 10,
        "recall": {"n": 200, "mean": 0.99, "standardDeviation": 0.02},
        "seconds": 1.0,
    }


def release_spec(number: int = 1, indexes: tuple[str, ...] = ("catalogue",), **spec: Any) -> Object:
    return {
        "model": "glyphs",
        "number": number,
        "cause": "First",
        "spaceHash": "s" * 16,
        "indexHash": "i" * 16,
        "artifacts": VOLUME,
        "training": TRAINING,
        "indexes": [
            {"name": name, "source": DATA, "index": {}, "objectives": {}} for name in indexes
        ],
        "images": {"trainer": "trainer:1", "encoder": "encoder:1", "indexer": "indexer:1"},
        **spec,
    }


def release(
    number: int = 1,
    *,
    indexes: tuple[str, ...] = ("catalogue",),
    trained: bool = True,
    built: bool = True,
    letter: str = "a",
    **spec: Any,
) -> Release:
    status: Object = {}
    if trained:
        status["training"] = training_facts(letter)
    if built:
        status["builds"] = [build_facts(name, "d") for name in indexes]
    return parse_release(
        {
            "metadata": {"name": f"glyphs-r{number}", "namespace": "shop", "uid": f"r{number}-uid"},
            "spec": release_spec(number, indexes, **spec),
            "status": status,
        }
    )


def job(
    kind: str,
    model: Model,
    release: Release,
    attempt: int = 1,
    *,
    pull_secrets: tuple[str, ...] = (),
    **inputs: Any,
) -> Object:
    """The Job of an attempt; `inputs` are further fields of `JobInputs`."""
    given = JobInputs(model, release, attempt, **inputs)
    return attempt_job(JobKind(kind), given, pull_secrets=pull_secrets)
