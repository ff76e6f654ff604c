"""An encoder artifact in memory: ONNX Runtime over `model.onnx`, and the check that it is whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lockstep_core.artifacts import InputSpec, ModelManifest
from lockstep_core.datasets.npz import read_npz
from lockstep_core.datasets.problems import DatasetError
from lockstep_core.encoding.errors import EncodingError, SelfCheckError

MODEL_FILE = "model.onnx"
GOLDEN_FILE = "golden.npz"
INPUT_NAME = "input"
OUTPUT_NAME = "sentence_embedding"

# The golden vectors may come from another CPU or thread count; float32 kernels then differ by about
# 1e-6. Another model, or other preprocessing, differs by far more than this.
GOLDEN_MAX_ABS = 1e-3
GOLDEN_MIN_COSINE = 0.9999

Floats = NDArray[np.float32]


class Encoder:
    """Items in, embeddings out. Input `input` (as `InputSpec` says, with a batch axis), output
    `sentence_embedding`, float32 [B, dimension], L2-normalised inside of the graph.

    Thread-safe: `onnxruntime.InferenceSession.run` may be called from several threads.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, manifest: ModelManifest, golden: _Golden
    ) -> None:
        self._session = session
        self.dimension: int = manifest.dimension
        self.input: InputSpec = manifest.input
        self.golden_inputs: NDArray[np.uint8] | Floats = golden[0]
        self.golden_embeddings: Floats = golden[1]

    @classmethod
    def load(cls, directory: Path, manifest: ModelManifest, *, threads: int = 1) -> Encoder:
        """Loads the files that `ArtifactStore.fetch` put into `directory`.

        `threads` are those of one inference. Raises SelfCheckError when the graph is not as the
        manifest describes it.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                str(directory / MODEL_FILE), options, providers=["CPUExecutionProvider"]
            )
        # onnxruntime raises a dozen unrelated types.
        except Exception as error:
            raise SelfCheckError(f"{MODEL_FILE} cannot be loaded: {_short(error)}") from error
        _check_graph(session, manifest)
        return cls(session, manifest, _read_golden(directory, manifest))

    def encode(
        self,
        inputs: NDArray[np.uint8] | Floats,
        *,
        batch_size: int = 256,
        on_batch: Callable[[int], None] | None = None,
    ) -> Floats:
        """Embeddings [N, dimension] of N items; `on_batch` hears how many are done.

        Raises EncodingError for another shape or dtype, and when an embedding is not finite.
        """
        expected = np.dtype(self.input.dtype)
        if inputs.dtype != expected or inputs.shape[1:] != self.input.shape:
            raise EncodingError(
                f"items are {inputs.dtype} {list(inputs.shape[1:])}, but this encoder takes"
                f" {self.input.dtype} {list(self.input.shape)}"
            )
        embeddings = np.empty((len(inputs), self.dimension), dtype=np.float32)
        for start in range(0, len(inputs), batch_size):
            batch = inputs[start : start + batch_size]
            embeddings[start : start + len(batch)] = self._run(batch, start)
            if on_batch is not None:
                on_batch(start + len(batch))
        return embeddings

    def _run(self, batch: NDArray[np.uint8] | Floats, start: int) -> Floats:
        try:
            (found,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: np.ascontiguousarray(batch)})
        except Exception as error:
            raise EncodingError(f"the encoder failed: {_short(error)}") from error
        embeddings: Floats = found
        if embeddings.shape != (len(batch), self.dimension):
            raise EncodingError(
                f"the encoder gave {list(embeddings.shape)}, not {[len(batch), self.dimension]}"
            )
        bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if bad.size:
            raise EncodingError("its embedding is not finite", item=start + int(bad[0]))
        return embeddings

    def check_golden(self) -> None:
        """Embeds the golden inputs again; raises SelfCheckError, with numbers, if they moved."""
        try:
            found = self.encode(self.golden_inputs)
        except EncodingError as error:
            raise SelfCheckError(f"{GOLDEN_FILE}: {error}") from error
        wanted = self.golden_embeddings
        apart = float(np.abs(found - wanted).max())
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
        cosine = float(((found * wanted).sum(axis=1) / np.maximum(norms, 1e-12)).min())
        if not (apart <= GOLDEN_MAX_ABS and cosine >= GOLDEN_MIN_COSINE):
            raise SelfCheckError(
                f"golden vectors differ by {apart:.3g} (at most {GOLDEN_MAX_ABS} is allowed), least"
                f" cosine {cosine:.6f} (at least {GOLDEN_MIN_COSINE}): these files do not give the"
                " embeddings that were published with them"
            )


_Golden = tuple[NDArray[np.uint8] | Floats, Floats]
_TENSORS = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}


def _check_graph(session: onnxruntime.InferenceSession, manifest: ModelManifest) -> None:
    inputs = [(item.name, item.type, tuple(item.shape[1:])) for item in session.get_inputs()]
    wanted = (INPUT_NAME, _TENSORS[manifest.input.dtype], manifest.input.shape)
    if inputs != [wanted]:
        raise SelfCheckError(f"{MODEL_FILE} takes {inputs}, its manifest says {[wanted]}")
    outputs = {item.name: (item.type, tuple(item.shape[1:])) for item in session.get_outputs()}
    result = ("tensor(float)", (manifest.dimension,))
    if outputs.get(OUTPUT_NAME) != result:
        raise SelfCheckError(
            f"{MODEL_FILE} gives {outputs}, its manifest says {OUTPUT_NAME}: {result}"
        )


def _read_golden(directory: Path, manifest: ModelManifest) -> _Golden:
    try:
        with (directory / GOLDEN_FILE).open("rb") as file:
            arrays, problems = read_npz(file, GOLDEN_FILE, required=("inputs", "embeddings"))
        if problems:
            raise DatasetError(problems)
    except (DatasetError, OSError) as error:
        raise SelfCheckError(f"{GOLDEN_FILE}: {error}") from error
    inputs, embeddings = arrays["inputs"], arrays["embeddings"]
    rows = len(inputs) if inputs.ndim else 0
    if not rows or inputs.shape[1:] != manifest.input.shape or inputs.dtype != manifest.input.dtype:
        raise SelfCheckError(f"{GOLDEN_FILE}: inputs are {inputs.dtype} {list(inputs.shape)}")
    if embeddings.shape != (rows, manifest.dimension) or embeddings.dtype != np.float32:
        raise SelfCheckError(
            f"{GOLDEN_FILE}: embeddings are {embeddings.dtype} {list(embeddings.shape)}, not"
            f" float32 {[rows, manifest.dimension]}"
        )
    return inputs, embeddings


def _short(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:300]
