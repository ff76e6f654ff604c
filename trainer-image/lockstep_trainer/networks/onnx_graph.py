"""From a torch module to one ONNX file with free batch (and, for texts, length) axes."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from lockstep_core.encoding import INPUT_NAME, OUTPUT_NAME, Preprocessing
from lockstep_core.encoding.ragged import Prepared

OPSET = 18
"""What torch's exporter writes without converting; ONNX Runtime reads it since 1.14."""

AXES = ("batch", "length")
"""Names of the free axes."""

MIN_LENGTH = 8
RUN_ITEMS = 63

Floats = NDArray[np.float32]


class ExportError(Exception):
    """The network cannot be exported, or the graph does not embed as the network does."""


def write_onnx(
    network: nn.Module, example: NDArray[Any], preprocessing: Preprocessing, path: Path
) -> None:
    """Equal networks give equal bytes on any machine. `example` are two prepared items or more.

    Raises:
        ExportError: torch cannot trace the network, or not for every batch and length.
    """
    _, shape = preprocessing.tensor
    free = [0, *(at for at, axis in enumerate(shape, start=1) if axis is None)]
    dynamic = {axis: torch.export.Dim(AXES[place]) for place, axis in enumerate(free)}
    with quiet():
        try:
            program = torch.onnx.export(
                network,
                (torch.from_numpy(_roomy(example, preprocessing)),),
                dynamo=True,
                verbose=False,
                external_data=False,
                opset_version=OPSET,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                dynamic_shapes=(dynamic,),
            )
        # The exporter wraps whatever the network's own code raises while it is traced.
        except Exception as error:
            raise ExportError(f"torch.onnx.export cannot trace it: {_cause(error)}") from error
        if program is None:
            raise ExportError("torch.onnx.export gave no program")
        model = program.model_proto
    _check_axes(model, free)
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def run_onnx(path: Path, prepared: Prepared) -> Floats:
    """Embeddings [N, D] by ONNX Runtime, in batches of two sizes: the axes must be free.

    A graph whose batch axis is 1 takes one item at a time.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    size = RUN_ITEMS if isinstance(session.get_inputs()[0].shape[0], str) else 1
    first, rest = np.arange(1), np.arange(1, len(prepared))
    parts = [first, *(rest[at : at + size] for at in range(0, len(rest), size))]
    return np.concatenate(
        [session.run([OUTPUT_NAME], {INPUT_NAME: prepared[rows]})[0] for rows in parts]
    )


def _roomy(example: NDArray[Any], preprocessing: Preprocessing) -> NDArray[Any]:
    """Texts padded to `MIN_LENGTH`: an axis of 1 would look as if it were fixed."""
    if preprocessing.text is not None and (short := MIN_LENGTH - example.shape[1]) > 0:
        example = np.pad(example, ((0, 0), (0, short)), constant_values=preprocessing.text.pad)
    return np.ascontiguousarray(example)


def _check_axes(model: onnx.ModelProto, free: list[int]) -> None:
    """torch falls back to a graph of one size, in silence, where it cannot keep an axis free."""
    axes = model.graph.input[0].type.tensor_type.shape.dim
    for place, axis in enumerate(free):
        if not axes[axis].dim_param:
            raise ExportError(
                f"torch.onnx.export fixed the {AXES[place]} at {axes[axis].dim_value}: use no"
                " layer or Python number that depends on its size (of pooling, only that over all"
                " of it)"
            )


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


def strip(model: onnx.ModelProto) -> None:
    """Takes out stack traces and the like: they name paths, and would change the digest."""
    graph = model.graph
    model.doc_string = graph.doc_string = ""
    del model.metadata_props[:]
    del graph.metadata_props[:]
    for part in (graph.node, graph.input, graph.output, graph.value_info, graph.initializer):
        for entry in part:
            entry.doc_string = ""
            del entry.metadata_props[:]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter and its optimiser print and log a page about their own progress."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
