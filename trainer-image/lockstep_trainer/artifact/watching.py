"""The files by which an encoder can be watched where it serves: features, and a held-out baseline.

Neither is part of the model: its digest and its space are those of the artifact without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lockstep_core.artifacts import ModelManifest, Role, describe_files
from lockstep_core.drift import baseline_file, features_file
from lockstep_core.drift.baseline_making import from_embeddings
from lockstep_core.drift.errors import DriftError
from lockstep_core.drift.features import SIZE, of_embeddings
from lockstep_core.encoding import Encoder, Raw
from lockstep_core.protocol.monitoring import BASELINE_PATH, FEATURES_PATH, MAX_HANDOVER_BYTES
from lockstep_trainer.artifact.export import evenly_spaced
from lockstep_trainer.networks.onnx_graph import Floats

ITEMS = 4096
"""Of the held-out items, evenly spaced."""


def add_watching(
    manifest: ModelManifest,
    files: Path,
    embeddings: Floats,
    *,
    seed: int,
    warn: Callable[[str], None],
) -> ModelManifest:
    """Writes what can be made of `embeddings` [n, dimension] into the folder `files`; returns the
    manifest with it. What cannot be made is left out, and told to `warn`: the model is whole
    without it."""
    chosen = embeddings[evenly_spaced(len(embeddings), ITEMS)]
    roles: dict[str, Role] = {}
    try:
        for path, data in _made(manifest, chosen, seed):
            (files / path).parent.mkdir(exist_ok=True)
            (files / path).write_bytes(data)
            roles[path] = Role.REPORT
    except DriftError as error:
        missing = BASELINE_PATH if roles else FEATURES_PATH
        cannot = (
            "a DriftPolicy with baseline: HeldOut" if roles else "what the model embeds in service"
        )
        warn(f"{missing} is not written, so {cannot} cannot be watched: {error}")
    listed = (*manifest.files, *describe_files(files, roles))
    return manifest.replace(files=tuple(sorted(listed, key=lambda entry: entry.path)))


def _made(manifest: ModelManifest, embeddings: Floats, seed: int) -> Iterator[tuple[str, bytes]]:
    """Raises DriftError where there are too few embeddings, or too wide ones."""
    if (size := 2 * SIZE * manifest.dimension) > MAX_HANDOVER_BYTES - baseline_file.MAX_BYTES:
        raise DriftError(
            f"features of {manifest.dimension} numbers take {size} bytes, more than an encoder"
            " hands to its monitor: train with fewer dimensions"
        )
    rng = np.random.default_rng(seed)
    features = of_embeddings(embeddings, rng, space_id=manifest.space_id)
    yield FEATURES_PATH, features_file.to_bytes(features)
    yield BASELINE_PATH, baseline_file.to_json(from_embeddings(embeddings, features, rng))


def embeddings_in_service(
    manifest: ModelManifest, files: Path, inputs: Raw, measured: Floats
) -> Floats:
    """Embeddings as the encoder in `files` will give them: `measured` [n, dimension] by the trained
    network, or, where the graph is quantised, its own of `ITEMS` of the `inputs`."""
    if manifest.kind is None:
        return measured
    return Encoder.load(files, manifest).encode(inputs[evenly_spaced(len(inputs), ITEMS)])
