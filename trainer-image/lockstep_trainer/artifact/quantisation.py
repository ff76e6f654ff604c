"""Weights and activations of 8 bits, where the neighbours stay the same."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from lockstep_core.encoding.ragged import Prepared
from lockstep_core.protocol.training import Int8Spec
from lockstep_core.quality.recall import exact_neighbours
from lockstep_trainer.networks.onnx_graph import ExportError, Floats, quiet, run_onnx, strip

NEIGHBOURS = 10
MIN_ITEMS = 100
"""Among few items, the nearest ten are nearly all of them, whatever the encoder."""


def quantise(path: Path, prepared: Prepared, spec: Int8Spec) -> float:
    """Replaces the graph by its quantised form; returns the overlap of neighbours.

    Raises:
        ExportError: fewer than `minTop10Overlap` of the neighbours of the `prepared` items stay, or
            they are too few to tell. The graph is then as it was.
    """
    if len(prepared) < MIN_ITEMS:
        raise ExportError(
            f"export.int8 needs {MIN_ITEMS} held-out items to measure what it costs, there are"
            f" {len(prepared)}: raise data.split.evalFraction"
        )
    with tempfile.TemporaryDirectory(prefix="lockstep-int8-") as folder:
        smaller = Path(folder) / path.name
        write_int8(path, smaller)
        overlap = neighbour_overlap(run_onnx(path, prepared), run_onnx(smaller, prepared))
        if not overlap >= float(Decimal(spec.min_top10_overlap)):
            raise ExportError(
                f"the quantised encoder keeps {overlap:.4f} of the ten nearest neighbours of"
                f" {len(prepared)} held-out items, export.int8.minTop10Overlap is"
                f" {spec.min_top10_overlap}: leave export.int8 out, or lower the bound if recall"
                " allows it"
            )
        path.write_bytes(smaller.read_bytes())
    return overlap


def write_int8(path: Path, target: Path) -> None:
    """Matrix products of `path` in 8 bits; a graph that takes one item at a time.

    The scale of the activations is taken over the whole input, so items of one batch would change
    one another (measured on MiniLM: by up to 0.03 of a coordinate, least cosine 0.985): hence the
    batch axis of 1. Weights keep 7 of the 8 bits, because processors without VNNI saturate the sums
    of full ones and would embed otherwise than those with it.
    """
    with quiet():
        quantize_dynamic(
            path,
            target,
            op_types_to_quantize=["MatMul"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
    model = onnx.load(target)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    # What was inferred of a free batch axis is no longer so.
    del model.graph.value_info[:]
    strip(model)
    onnx.checker.check_model(model)
    target.write_bytes(model.SerializeToString(deterministic=True))


def neighbour_overlap(exact: Floats, other: Floats) -> float:
    """Mean share of each row's `NEIGHBOURS` nearest others in `exact` that `other` [N, D] finds."""
    rows = np.arange(len(exact))
    wanted, _ = exact_neighbours(exact, exact, NEIGHBOURS, exclude=rows)
    kept, _ = exact_neighbours(other, other, NEIGHBOURS, exclude=rows)
    return float((wanted[:, :, None] == kept[:, None, :]).any(axis=2).mean())
