"""all-MiniLM-L6-v2 as it is published becomes an artifact that embeds as its authors' code does.

Needs no cluster: it is here for the 83 MB and the minute that it takes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quantisation import paragraphs
from lockstep_core.artifacts import ArtifactStore, ModelManifest
from lockstep_core.encoding import MODEL_FILE, Encoder, as_texts
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_trainer.__main__ import main
from lockstep_trainer.artifact.quantisation import neighbour_overlap
from tests.e2e.support.minilm import Unavailable, minilm

# First five numbers of each embedding and the sum of all 384, by transformers 5.24.0 (BertModel,
# mean over tokens, L2) and torch 2.15.0 on the same files.
REFERENCE = {
    "A triplet of embeddings.": (
        [-0.0234326, -0.0741928, -0.0056165, -0.0745839, -0.0210311],
        -0.123604,
    ),
    "The cat sits on the mat": (
        [0.1348907, -0.0320634, -0.0203353, 0.035901, -0.0283331],
        0.027689,
    ),
    "Zürich is a city in Switzerland": (
        [0.0137616, 0.0820425, 0.0319825, 0.0073274, 0.096798],
        -0.26173,
    ),
    "東京": ([0.0899746, 0.0434094, 0.0428657, -0.0361009, -0.0898308], 0.499569),
    "kubectl get em -w " * 12: (
        [0.0369034, 0.0311468, 0.0219147, -0.0013183, -0.0539365],
        -0.780878,
    ),
}
TOLERANCE = 1e-5


def test_published_weights_embed_as_the_reference_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        weights = minilm()
    except Unavailable as error:
        pytest.skip(str(error))
    store = tmp_path / "store"
    store.mkdir()
    assert main(["export", "--store", f"file://{store}", "--folder", str(weights)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["dimension"], told["pooling"]) == (384, "Mean")
    opened = ArtifactStore.open(ArtifactsSpec(uri=f"file://{store}"))
    manifest = opened.fetch(told["artifactDigest"], tmp_path / "model", ModelManifest)
    encoder = Encoder.load(tmp_path / "model", manifest)
    found = encoder.encode(as_texts(REFERENCE))
    for row, (first, total) in zip(found, REFERENCE.values(), strict=True):
        assert np.abs(row[:5] - first).max() < TOLERANCE
        assert abs(float(row.sum()) - total) < 384**0.5 * TOLERANCE
    _in_float16(store, weights, encoder, tmp_path / "half", capsys)
    goods = as_texts(["red leather shoes", "crimson footwear", "a pension for the elderly"])
    one, same, other = encoder.encode(goods)
    assert one @ same > 0.5 > one @ other


def _in_float16(
    store: Path, weights: Path, full: Encoder, into: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half the bytes, and the neighbours of the benchmark's texts stay."""
    export = ["export", "--store", f"file://{store}", "--folder", str(weights)]
    assert main([*export, "--weights", "Float16"]) == 0
    told = json.loads(capsys.readouterr().out)
    opened = ArtifactStore.open(ArtifactsSpec(uri=f"file://{store}"))
    manifest = opened.fetch(told["artifactDigest"], into, ModelManifest)
    size, before = (
        (folder / MODEL_FILE).stat().st_size for folder in (into, into.parent / "model")
    )
    assert size < 0.51 * before
    texts = as_texts(paragraphs(400))
    found = Encoder.load(into, manifest).encode(texts)
    assert neighbour_overlap(full.encode(texts), found) >= 0.999
