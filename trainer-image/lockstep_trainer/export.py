"""From a trained network to the files of an artifact, and the proof that both embed alike."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from lockstep_core.artifacts import InputSpec
from lockstep_core.datasets.dataset import Inputs
from lockstep_core.encoding import GOLDEN_FILE, INPUT_NAME, MODEL_FILE, OUTPUT_NAME
from lockstep_trainer.evaluation import embed
from lockstep_trainer.networks import Network

OPSET = 18
"""What torch's exporter writes without converting; ONNX Runtime reads it since 1.14."""

PREPROCESS_FILE = "preprocess.json"
WEIGHTS_FILE = "model.safetensors"

PARITY_ITEMS = 64
GOLDEN_ITEMS = 32
MAX_ABSOLUTE = 1e-4
MIN_COSINE = 0.9999

Floats = NDArray[np.float32]


class ExportError(Exception):
    """The exported graph does not embed as the trained network does."""


@dataclass(frozen=True)
class Parity:
    """The largest difference of a coordinate, and the least cosine, over `items` items."""

    items: int
    max_absolute: float
    min_cosine: float

    def to_wire(self) -> dict[str, float]:
        return {
            "items": self.items,
            "maxAbsolute": float(f"{self.max_absolute:.3g}"),
            "minCosine": round(self.min_cosine, 9),
        }


def export(network: Network, inputs: Inputs, spec: InputSpec, directory: Path) -> Parity:
    """Writes the graph, its input contract, golden vectors and weights into `directory`.

    Args:
        network: trained; it is moved to the CPU.
        inputs: some items that it was not trained on; up to `PARITY_ITEMS`, evenly spaced, are
            compared, and the first `GOLDEN_ITEMS` of them become the golden vectors.
        spec: one item, as the network takes it.

    Raises:
        ExportError: ONNX Runtime and torch disagree, with the numbers and their bounds.
    """
    cpu = torch.device("cpu")
    network.to(cpu).eval()
    write_onnx(network, inputs[:2], directory / MODEL_FILE)
    (directory / PREPROCESS_FILE).write_bytes(_input_contract(spec))
    save_file(dict(network.state_dict()), directory / WEIGHTS_FILE)
    chosen = inputs[evenly_spaced(len(inputs), PARITY_ITEMS)]
    wanted = embed(network, chosen, device=cpu)
    parity = compare(run_onnx(directory / MODEL_FILE, chosen), wanted)
    np.savez(
        directory / GOLDEN_FILE, inputs=chosen[:GOLDEN_ITEMS], embeddings=wanted[:GOLDEN_ITEMS]
    )
    return parity


def write_onnx(network: Network, example: Inputs, path: Path) -> None:
    """One file with a dynamic batch axis; equal networks give equal bytes on any machine."""
    with _quiet():
        program = torch.onnx.export(
            network,
            (torch.from_numpy(np.ascontiguousarray(example)),),
            dynamo=True,
            verbose=False,
            external_data=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
        if program is None:
            raise ExportError("torch.onnx.export gave no program")
        model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def run_onnx(path: Path, inputs: Inputs) -> Floats:
    """Embeddings [N, D] by ONNX Runtime, in batches of two sizes: the axis must be dynamic."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    parts = [inputs[:1], inputs[1:]] if len(inputs) > 1 else [inputs]
    return np.concatenate([session.run([OUTPUT_NAME], {INPUT_NAME: part})[0] for part in parts])


def compare(found: Floats, wanted: Floats) -> Parity:
    """Raises ExportError beyond `MAX_ABSOLUTE` or below `MIN_COSINE`, or when not finite."""
    cosine = (found * wanted).sum(axis=1) / (
        np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    )
    parity = Parity(len(found), float(np.abs(found - wanted).max()), float(cosine.min()))
    if not (parity.max_absolute <= MAX_ABSOLUTE and parity.min_cosine >= MIN_COSINE):
        raise ExportError(
            f"{MODEL_FILE} and the trained network differ by {parity.max_absolute:.3g} (at most"
            f" {MAX_ABSOLUTE} is allowed), least cosine {parity.min_cosine:.6f} (at least"
            f" {MIN_COSINE}), over {parity.items} items. Lower optimizer.learningRate or raise"
            " optimizer.weightDecay if the weights grew large; otherwise this is a defect of the"
            " exporter for this encoder"
        )
    return parity


def evenly_spaced(count: int, wanted: int) -> NDArray[np.int64]:
    """Up to `wanted` distinct rows of `count`, first and last included."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))


def _input_contract(spec: InputSpec) -> bytes:
    """Canonical JSON of what the graph takes: raw items, since all else is inside of it."""
    return json.dumps(spec.to_wire(), sort_keys=True, separators=(",", ":")).encode()


def _strip(model: onnx.ModelProto) -> None:
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
def _quiet() -> Iterator[None]:
    """The exporter and its optimiser print and log a page about their own doings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
