"""Golden vectors: items with the embeddings that were published, to prove a copy of the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lockstep_core.artifacts import InputKind, InputSpec, ModelManifest
from lockstep_core.datasets.dataset import is_text
from lockstep_core.datasets.npz import read_npz
from lockstep_core.datasets.problems import DatasetError
from lockstep_core.encoding.errors import EncodingError, SelfCheckError
from lockstep_core.encoding.preprocessing import Raw
from lockstep_core.encoding.texts import as_texts
from lockstep_core.protocol.artifacts import ArtifactKind
from lockstep_core.quality.agreement import TOLERANCES, Floats, embedding_difference

GOLDEN_FILE = "golden.npz"


@dataclass(frozen=True)
class Golden:
    """`inputs` are raw items, `embeddings` [N, D] what the model made of them."""

    inputs: Raw
    embeddings: Floats

    def check(self, got: Floats, kind: ArtifactKind) -> None:
        """Raises SelfCheckError, with numbers, when `got` [N, D] are other embeddings."""
        if cause := embedding_difference(self.embeddings, got, kind):
            raise SelfCheckError(
                f"golden vectors {cause}: these files do not give the embeddings that were"
                f" published with them. Either they are not the files that were published, or it"
                f" is {TOLERANCES[kind].cause}"
            )


def write_golden(directory: Path, golden: Golden) -> None:
    """Texts are kept as numpy's fixed-width text, which needs no pickle."""
    inputs: Any = golden.inputs
    if is_text(inputs):
        inputs = np.array(inputs.tolist(), dtype=np.str_)
    np.savez(directory / GOLDEN_FILE, inputs=inputs, embeddings=golden.embeddings)


def read_golden(directory: Path, manifest: ModelManifest) -> Golden:
    """Raises SelfCheckError for a file that does not fit the manifest."""
    try:
        with (directory / GOLDEN_FILE).open("rb") as file:
            arrays, problems = read_npz(file, GOLDEN_FILE, required=("inputs", "embeddings"))
        if problems:
            raise DatasetError(problems)
        inputs = _raw(arrays["inputs"], manifest.input)
    except (DatasetError, EncodingError, OSError) as error:
        raise SelfCheckError(f"{GOLDEN_FILE}: {error}") from error
    embeddings, rows = arrays["embeddings"], len(inputs)
    if embeddings.shape != (rows, manifest.dimension) or embeddings.dtype != np.float32:
        raise SelfCheckError(
            f"{GOLDEN_FILE}: embeddings are {embeddings.dtype} {list(embeddings.shape)}, not"
            f" float32 {[rows, manifest.dimension]}"
        )
    return Golden(inputs, embeddings)


def _raw(inputs: NDArray[Any], spec: InputSpec) -> Raw:
    text = spec.kind is InputKind.TEXT
    fits = inputs.dtype.kind == "U" if text else inputs.dtype == spec.dtype
    if not inputs.ndim or not len(inputs) or inputs.shape[1:] != spec.shape or not fits:
        raise EncodingError(f"inputs are {inputs.dtype} {list(inputs.shape)}")
    return as_texts(inputs.tolist()) if text else inputs
