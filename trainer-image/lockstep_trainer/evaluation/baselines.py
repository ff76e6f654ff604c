"""The trained encoder beside what it has to beat, all on the same held-out items."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep_core.artifacts import ArtifactError, ArtifactStore, ModelManifest, StoreError
from lockstep_core.datasets.dataset import Inputs
from lockstep_core.encoding import Encoder, EncodingError
from lockstep_core.encoding.errors import SelfCheckError
from lockstep_core.protocol.base import Sha256
from lockstep_core.threads import cpu_threads
from lockstep_trainer.evaluation.assessment import Assessment
from lockstep_trainer.evaluation.embedding import Floats


@dataclass(frozen=True)
class Evaluation:
    """`untrained`: the same encoder before its first step. `raw`: no encoder at all, see
    `flatten_raw`. `serving`: the model that answers users now; None where there is none."""

    trained: Assessment
    untrained: Assessment
    raw: Assessment
    serving: Assessment | None = None

    def to_wire(self) -> dict[str, dict[str, Any]]:
        assessments = {
            "trained": self.trained.to_wire(),
            "untrained": self.untrained.to_wire(),
            "raw": self.raw.to_wire(),
        }
        if self.serving is not None:
            assessments["serving"] = self.serving.to_wire()
        return assessments


def serving_embeddings(
    store: ArtifactStore, digest: Sha256 | None, inputs: Inputs, warn: Callable[[str], None]
) -> Floats | None:
    """Embeddings [N, D] by the artifact that serves, or None where it cannot give them: what it is
    only compared with must not fail a training."""
    if digest is None:
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="lockstep-serving-") as folder:
            manifest = store.fetch(digest, Path(folder) / "model", ModelManifest)
            encoder = Encoder.load(Path(folder) / "model", manifest, threads=cpu_threads())
            return encoder.encode(inputs)
    except (ArtifactError, StoreError, SelfCheckError, EncodingError) as error:
        warn(f"the serving model {digest} is not among the baselines: {error}")
        return None
