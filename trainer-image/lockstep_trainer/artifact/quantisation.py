"""Weights and activations of 8 bits, where the neighbours stay the same."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import onnx

from lockstep_core.encoding.ragged import Prepared
from lockstep_core.protocol.training import Int8Spec, Weights
from lockstep_core.quality.recall import exact_neighbours
from lockstep_trainer.artifact.float16_graph import write_float16
from lockstep_trainer.artifact.int8_graph import quantised_graph
from lockstep_trainer.networks.onnx_graph import ExportError, Floats, run_onnx, strip

NEIGHBOURS = 10
MIN_ITEMS = 100
"""Among few items, the nearest ten are nearly all of them, whatever the encoder."""


def quantise(
    path: Path, prepared: Prepared, spec: Int8Spec, weights: Weights = Weights.FLOAT32
) -> float:
    """Replaces the graph by its quantised form, what is left of its weights stored as `weights`;
    returns the overlap of neighbours.

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
        if weights is Weights.FLOAT16:
            write_float16(smaller, smaller)
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
    """Products with constant weights of `path` in 8 bits, see `int8_graph`; batches as before.

    Raises ExportError when there is no such product.
    """
    model = onnx.load(path)
    if not quantised_graph(model):
        raise ExportError(
            "export.int8 quantises products with constant weights (torch.nn.Linear), and this"
            " encoder has none: leave export.int8 out"
        )
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    target.write_bytes(model.SerializeToString(deterministic=True))


def neighbour_overlap(exact: Floats, other: Floats) -> float:
    """Mean share of each row's `NEIGHBOURS` nearest others in `exact` that `other` [N, D] finds."""
    rows = np.arange(len(exact))
    wanted, _ = exact_neighbours(exact, exact, NEIGHBOURS, exclude=rows)
    kept, _ = exact_neighbours(other, other, NEIGHBOURS, exclude=rows)
    return float((wanted[:, :, None] == kept[:, None, :]).any(axis=2).mean())
