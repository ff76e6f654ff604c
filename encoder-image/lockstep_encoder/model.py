"""The model of this release: fetched by digest, verified, warmed up and self-checked."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lockstep_core.artifacts import ArtifactStore, ModelManifest
from lockstep_core.encoding import Encoder
from lockstep_core.protocol.config import EncoderConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.monitoring import TapConfig
from lockstep_core.serving.startup import StartError
from lockstep_encoder.batching import Items
from lockstep_encoder.handover import hand_over

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """A verified encoder and who it is."""

    name: str
    release: str
    manifest: ModelManifest
    encoder: Encoder
    # What the monitor of the pod sums its embeddings up with; None where it has nothing to do so.
    features_digest: str | None = None

    @property
    def dimension(self) -> int:
        return self.manifest.dimension

    @property
    def dimensions(self) -> tuple[int, ...]:
        """Widths that an embedding may be asked for: prefixes it was trained for, and its own."""
        return (*(self.manifest.matryoshka_dimensions or ()), self.dimension)

    @property
    def space(self) -> str:
        return self.manifest.space_id


def load(
    config: EncoderConfig, *, threads: int, max_batch_items: int, tap: TapConfig | None = None
) -> Model:
    """Fetches, verifies, loads, checks the goldens and warms up at batch 1 and `max_batch_items`.

    With `tap` the monitor of the pod is given the files that are for it, which never fails.

    Raises ArtifactError, StoreError, SelfCheckError, or `StartError`
    (DIGEST_MISMATCH) when the artifact is of another space than the config says.
    """
    # Loaded models keep nothing on disk, so the copy goes at once.
    with tempfile.TemporaryDirectory(prefix="lockstep-model-") as folder:
        store = ArtifactStore.open(config.artifacts)
        manifest = store.fetch(config.artifact_digest, Path(folder), ModelManifest)
        if manifest.space_id != config.space_id:
            raise StartError(
                ExitCode.DIGEST_MISMATCH,
                "SpaceMismatch",
                f"release {config.release} is of space {config.space_id}, but artifact"
                f" {config.artifact_digest} is of space {manifest.space_id}. Its indexes cannot be"
                " searched with it; release the artifact again so that they are rebuilt.",
            )
        encoder = Encoder.load(Path(folder), manifest, threads=threads)
        watched = hand_over(Path(folder), manifest, config.artifact_digest, tap) if tap else None
    encoder.check_golden()
    # The first run of a shape allocates; it must not be a user's.
    for items in (1, max_batch_items):
        warm: Items = encoder.golden_inputs[np.zeros(items, dtype=np.intp)]
        encoder.encode(warm)
    logger.info("model of space %s verified, %d threads", manifest.space_id, threads)
    return Model(config.model, config.release, manifest, encoder, watched)
