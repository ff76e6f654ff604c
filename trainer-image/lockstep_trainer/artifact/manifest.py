"""The manifest of an exported encoder."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from lockstep_core.artifacts import ModelManifest, Role, describe_files, sha256_file
from lockstep_core.encoding import PREPROCESS_FILE
from lockstep_core.protocol.training import Weights
from lockstep_trainer.artifact.export import Exported
from lockstep_trainer.networks import Network

NORMALISATION = "L2"


def describe(
    network: Network,
    exported: Exported,
    files: Path,
    *,
    provenance: Mapping[str, str],
    reports: tuple[str, ...] = (),
) -> ModelManifest:
    """Of what `export` wrote into `files`, and of `reports`, which lie beside it.

    Its kind says what is computed with, so golden vectors of weights in float16 are judged as those
    of float32; that they are stored so is told in its provenance.
    """
    stored = {} if exported.weights is Weights.FLOAT32 else {"weights": exported.weights.value}
    return ModelManifest.describe(
        describe_files(files, exported.roles | dict.fromkeys(reports, Role.REPORT)),
        preprocessing_digest=sha256_file(files / PREPROCESS_FILE),
        pooling=network.pooling,
        normalisation=NORMALISATION,
        dimension=network.architecture.dimension,
        input=network.preprocessing.input,
        provenance={
            **provenance,
            **stored,
            "torch": version("torch"),
            "numpy": np.__version__,
        },
        matryoshka_dimensions=network.architecture.matryoshka_dimensions or (),
        kind=exported.kind,
    )
