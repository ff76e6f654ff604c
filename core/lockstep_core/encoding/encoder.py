"""An encoder artifact in memory: ONNX Runtime over `model.onnx`, and the check that it is whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lockstep_core.artifacts import InputSpec, ModelManifest
from lockstep_core.encoding.errors import EncodingError, SelfCheckError
from lockstep_core.encoding.golden import GOLDEN_FILE, Golden, read_golden
from lockstep_core.encoding.preprocessing import Preprocessing, Raw, load_preprocessing
from lockstep_core.encoding.ragged import Ragged, batches
from lockstep_core.protocol.artifacts import ArtifactKind
from lockstep_core.quality.agreement import Floats

MODEL_FILE = "model.onnx"
INPUT_NAME = "input"
OUTPUT_NAME = "sentence_embedding"


class Encoder:
    """Items in, embeddings out. Items are raw (as `InputSpec` says, with a batch axis); what
    `preprocess.json` asks for is done here, batch by batch. Graph: `input` to
    `sentence_embedding`, float32 [B, dimension], L2-normalised inside of the graph. A graph whose
    batch axis is fixed at 1 is given one item at a time.

    `kind` is what it computes with, by its manifest. One that does not say is of float32, but for a
    graph of one item: so were 8-bit graphs published before manifests said their kind.

    Thread-safe: `onnxruntime.InferenceSession.run` may be called from several threads.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        manifest: ModelManifest,
        golden: Golden,
        preprocessing: Preprocessing,
    ) -> None:
        self._session = session
        self._preprocessing = preprocessing
        self._golden = golden
        self._alone = session.get_inputs()[0].shape[0] == 1
        guessed = ArtifactKind.INT8 if self._alone else ArtifactKind.FLOAT32
        self.kind = manifest.kind or guessed
        self.dimension: int = manifest.dimension
        self.input: InputSpec = manifest.input
        self.golden_inputs: Raw = golden.inputs
        self.golden_embeddings: Floats = golden.embeddings

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
        preprocessing = load_preprocessing(directory, manifest)
        _check_graph(session, manifest, preprocessing)
        return cls(session, manifest, read_golden(directory, manifest), preprocessing)

    def count_units(self, inputs: Raw) -> NDArray[np.int64]:
        """Units of each item [N]: tokens or bytes of a text, 1 of any other item.

        Raises EncodingError for what `encode` would not take.
        """
        prepared = self._preprocessing.prepare(inputs)
        if isinstance(prepared, Ragged):
            return prepared.lengths
        return np.ones(len(inputs), dtype=np.int64)

    def encode(
        self,
        inputs: Raw,
        *,
        batch_size: int = 256,
        on_batch: Callable[[int], None] | None = None,
    ) -> Floats:
        """Embeddings [N, dimension] of N items; `on_batch` hears how many are done.

        Raises EncodingError for another shape or dtype, for a text that is empty or too long, and
        when an embedding is not finite.
        """
        prepared = self._preprocessing.prepare(inputs)
        embeddings = np.empty((len(inputs), self.dimension), dtype=np.float32)
        done = 0
        size = 1 if self._alone else batch_size
        for rows in batches(prepared, size):
            embeddings[rows] = self._run(prepared[rows], rows)
            done += len(rows)
            if on_batch is not None:
                on_batch(done)
        return embeddings

    def _run(self, batch: NDArray[Any], rows: NDArray[np.int64]) -> Floats:
        try:
            (output,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: np.ascontiguousarray(batch)})
        except Exception as error:
            raise EncodingError(f"the encoder failed: {_short(error)}") from error
        embeddings: Floats = output
        if embeddings.shape != (len(batch), self.dimension):
            raise EncodingError(
                f"the encoder gave {list(embeddings.shape)}, not {[len(batch), self.dimension]}"
            )
        bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if bad.size:
            raise EncodingError("its embedding is not finite", item=int(rows[bad[0]]))
        return embeddings

    def check_golden(self) -> None:
        """Embeds the golden inputs again; raises SelfCheckError, with numbers, if they moved."""
        try:
            embeddings = self.encode(self.golden_inputs)
        except EncodingError as error:
            raise SelfCheckError(f"{GOLDEN_FILE}: {error}") from error
        self._golden.check(embeddings, self.kind)


_TENSORS = {"uint8": "tensor(uint8)", "float32": "tensor(float)", "int64": "tensor(int64)"}


def _check_graph(
    session: onnxruntime.InferenceSession, manifest: ModelManifest, preprocessing: Preprocessing
) -> None:
    dtype, shape = preprocessing.tensor
    inputs = [(item.name, item.type, _fixed(item.shape[1:])) for item in session.get_inputs()]
    wanted = (INPUT_NAME, _TENSORS[dtype], shape)
    if inputs != [wanted]:
        raise SelfCheckError(f"{MODEL_FILE} takes {inputs}, its manifest says {[wanted]}")
    outputs = {item.name: (item.type, tuple(item.shape[1:])) for item in session.get_outputs()}
    result = ("tensor(float)", (manifest.dimension,))
    if outputs.get(OUTPUT_NAME) != result:
        raise SelfCheckError(
            f"{MODEL_FILE} gives {outputs}, its manifest says {OUTPUT_NAME}: {result}"
        )


def _fixed(shape: Sequence[int | str | None]) -> tuple[int | None, ...]:
    """Sizes of axes; None where it is named instead, so free."""
    return tuple(axis if isinstance(axis, int) else None for axis in shape)


def _short(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:300]
