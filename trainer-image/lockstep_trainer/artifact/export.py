"""From a trained network to the files of an artifact, and the proof that both embed alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from lockstep_core.artifacts import Role
from lockstep_core.encoding import (
    GOLDEN_FILE,
    MODEL_FILE,
    PREPROCESS_FILE,
    TOKENIZER_FILE,
    Golden,
    Raw,
    write_golden,
)
from lockstep_core.protocol.artifacts import ArtifactKind
from lockstep_core.protocol.training import Int8Spec
from lockstep_trainer.artifact.quantisation import quantise
from lockstep_trainer.evaluation import embed
from lockstep_trainer.networks import Network
from lockstep_trainer.networks.onnx_graph import ExportError, Floats, run_onnx, write_onnx
from lockstep_trainer.networks.transformer import Transformer
from lockstep_trainer.pretrained.base import CONFIG_FILE, NETWORK_FILE, WEIGHTS_FILE

ROLES = {
    MODEL_FILE: Role.SERVING,
    PREPROCESS_FILE: Role.SERVING,
    GOLDEN_FILE: Role.CHECK,
    WEIGHTS_FILE: Role.REPORT,
    NETWORK_FILE: Role.REPORT,
}
TOKEN_ROLES = {TOKENIZER_FILE: Role.SERVING, CONFIG_FILE: Role.REPORT}

PARITY_ITEMS = 64
OVERLAP_ITEMS = 1000
GOLDEN_ITEMS = 32
MAX_ABSOLUTE = 1e-4
MIN_COSINE = 0.9999


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


@dataclass(frozen=True)
class Exported:
    """How near the graph is to the network, and the role of each file that was written.

    `overlap` is that of a quantised graph with the one of full precision.
    """

    parity: Parity
    roles: dict[str, Role]
    overlap: float | None = None

    @property
    def kind(self) -> ArtifactKind:
        """What the graph computes with."""
        return ArtifactKind.FLOAT32 if self.overlap is None else ArtifactKind.INT8


def export(
    network: Network, inputs: Raw, directory: Path, *, int8: Int8Spec | None = None
) -> Exported:
    """Writes the graph, its input contract, golden vectors and weights into `directory`.

    Args:
        network: trained; it is moved to the CPU.
        inputs: some raw items that it was not trained on; up to `PARITY_ITEMS`, evenly spaced, are
            compared, and the first `GOLDEN_ITEMS` of them become the golden vectors. More of them
            measure what quantising costs.

    Raises:
        ExportError: ONNX Runtime and torch disagree, or the quantised graph finds other
            neighbours, with the numbers and their bounds.
    """
    cpu = torch.device("cpu")
    network.to(cpu).eval()
    chosen: Raw = inputs[evenly_spaced(len(inputs), PARITY_ITEMS)]
    prepared = network.preprocessing.prepare(chosen)
    # Two, so that no axis looks as if it were fixed at one.
    write_onnx(network, prepared[:2], network.preprocessing, directory / MODEL_FILE)
    roles = ROLES | _write_description(network, directory)
    wanted = embed(network, chosen, device=cpu)
    parity = compare(run_onnx(directory / MODEL_FILE, prepared), wanted)
    overlap = None
    if int8 is not None:
        measured = network.preprocessing.prepare(inputs[evenly_spaced(len(inputs), OVERLAP_ITEMS)])
        overlap = quantise(directory / MODEL_FILE, measured, int8)
        wanted = run_onnx(directory / MODEL_FILE, prepared)
    write_golden(directory, Golden(chosen[:GOLDEN_ITEMS], wanted[:GOLDEN_ITEMS]))
    return Exported(parity, roles, overlap)


def compare(embedded: Floats, wanted: Floats) -> Parity:
    """Raises ExportError beyond `MAX_ABSOLUTE` or below `MIN_COSINE`, or when not finite."""
    cosine = (embedded * wanted).sum(axis=1) / (
        np.linalg.norm(embedded, axis=1) * np.linalg.norm(wanted, axis=1)
    )
    parity = Parity(len(embedded), float(np.abs(embedded - wanted).max()), float(cosine.min()))
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


def _write_description(network: Network, directory: Path) -> dict[str, Role]:
    """All but the graph and the golden vectors; returns the roles of what only texts have."""
    preprocessing = network.preprocessing
    (directory / PREPROCESS_FILE).write_bytes(preprocessing.contract())
    save_file(dict(network.state_dict()), directory / WEIGHTS_FILE)
    described = json.dumps(network.architecture.to_wire(), indent=1, sort_keys=True)
    (directory / NETWORK_FILE).write_text(described + "\n")
    if not isinstance(network, Transformer):
        return {}
    (directory / TOKENIZER_FILE).write_bytes(network.tokenizer)
    (directory / CONFIG_FILE).write_text(network.config.model_dump_json(indent=1) + "\n")
    return TOKEN_ROLES
