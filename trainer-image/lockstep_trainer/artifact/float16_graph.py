"""Weights stored in float16, each with a Cast to float32 that ONNX Runtime does once, on loading.

So the file has half the bytes, while memory, speed and agreement between processors are those of
float32: what is computed with are the rounded weights, and float32 holds them exactly.

`onnxruntime.transformers.float16` (that of onnxconverter-common) is for computing in float16. Told
to leave every node in float32 it still rounds all constants, clips in silence those out of range,
and writes the casts behind their uses, which the checker of ONNX refuses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lockstep_trainer.networks.onnx_graph import ExportError, Floats, strip

SUFFIX = ".float16"
MIN_ELEMENTS = 256
"""The least that is worth the hundred bytes of a Cast."""

MAX_ERROR = 2.0**-11
"""Relative; float16 has 11 bits, and rounds a normal number by no more."""


def write_float16(path: Path, target: Path) -> None:
    """The graph of `path` with weights stored in float16, see `float16_weights`.

    Raises ExportError when there are none.
    """
    model = onnx.load(path)
    if not float16_weights(model):
        raise ExportError(
            f"export.weights: Float16 is for matrices of {MIN_ELEMENTS} numbers and more that"
            " float16 can hold, and this encoder has none: leave export.weights out"
        )
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    target.write_bytes(model.SerializeToString(deterministic=True))


def float16_weights(model: onnx.ModelProto) -> int:
    """Rewrites `model` in place; returns how many of its constants are in float16 now.

    Vectors (biases, gains of a norm) stay as they are: they are few, and matter much.
    """
    graph = model.graph
    # A constant that is also an input may be given another value: it is none to be folded.
    given = {each.name for each in graph.input}
    casts = []
    for at, constant in enumerate(graph.initializer):
        if constant.name in given or (half := _half(constant)) is None:
            continue
        name = constant.name
        graph.initializer[at].CopyFrom(numpy_helper.from_array(half, name + SUFFIX))
        casts.append(helper.make_node("Cast", [name + SUFFIX], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return len(casts)


def _half(constant: onnx.TensorProto) -> NDArray[np.float16] | None:
    """`constant` in float16; None where it stays as it is."""
    if constant.data_type != TensorProto.FLOAT or len(constant.dims) < 2:
        return None
    full = numpy_helper.to_array(constant)
    if full.size < MIN_ELEMENTS:
        return None
    with np.errstate(over="ignore"):
        half = full.astype(np.float16)
    return half if _near(half.astype(np.float32), full) else None


def _near(rounded: Floats, full: Floats) -> bool:
    """Whether a matrix keeps its precision: no number beyond float16's range (65,504), and so few
    below its normal ones (6e-5) that the error of the whole is that of normal ones."""
    if not np.isfinite(rounded).all():
        return False
    error = np.linalg.norm((rounded - full).astype(np.float64))
    return bool(error <= MAX_ERROR * np.linalg.norm(full.astype(np.float64)))
