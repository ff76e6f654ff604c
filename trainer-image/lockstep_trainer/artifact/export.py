"""From a trained network to the files of an artifact, and the proof that both embed alike."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
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
from lockstep_core.encoding.ragged import Prepared
from lockstep_core.protocol.artifacts import ArtifactKind
from lockstep_core.protocol.training import ExportSpec, Weights
from lockstep_trainer.artifact.float16_graph import write_float16
from lockstep_trainer.artifact.quantisation import MIN_ITEMS, neighbour_overlap, quantise
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
MIN_ROUNDED_COSINE = 0.99
"""Of weights in float16. Those of a trained encoder keep .999999; less than this is no rounding."""


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
class Rounding:
    """What rounding weights to float16 cost: `parity` with the graph of full precision, and the
    share of the ten nearest neighbours that stay (None of too few items)."""

    parity: Parity
    overlap: float | None

    def to_wire(self) -> dict[str, float | None]:
        return {**self.parity.to_wire(), "top10Overlap": self.overlap}


@dataclass(frozen=True)
class Exported:
    """How near the graph of full precision is to the network, and the role of each file that was
    written.

    `overlap` is that of a quantised graph with the one of full precision, `rounding` that of one
    whose weights alone were rounded.
    """

    parity: Parity
    roles: dict[str, Role]
    overlap: float | None = None
    rounding: Rounding | None = None
    weights: Weights = Weights.FLOAT32

    @property
    def kind(self) -> ArtifactKind:
        """What the graph computes with."""
        return ArtifactKind.FLOAT32 if self.overlap is None else ArtifactKind.INT8


def export(
    network: Network, inputs: Raw, directory: Path, spec: ExportSpec | None = None
) -> Exported:
    """Writes the graph, its input contract, golden vectors and weights into `directory`.

    Args:
        network: trained; it is moved to the CPU.
        inputs: some raw items that it was not trained on; up to `PARITY_ITEMS`, evenly spaced, are
            compared, and the first `GOLDEN_ITEMS` of them become the golden vectors. More of them
            measure what quantising and rounding cost.
        spec: what is published; when left out, the network as it is.

    Raises:
        ExportError: ONNX Runtime and torch disagree, or the smaller graph embeds otherwise, with
            the numbers and their bounds.
    """
    spec = spec or ExportSpec()
    cpu = torch.device("cpu")
    network.to(cpu).eval()
    chosen: Raw = inputs[evenly_spaced(len(inputs), PARITY_ITEMS)]
    prepared = network.preprocessing.prepare(chosen)
    # Two, so that no axis looks as if it were fixed at one.
    write_onnx(network, prepared[:2], network.preprocessing, directory / MODEL_FILE)
    roles = ROLES | _write_description(network, directory)
    wanted = embed(network, chosen, device=cpu)
    done = Exported(compare(run_onnx(directory / MODEL_FILE, prepared), wanted), roles)
    if spec != ExportSpec():
        measured = network.preprocessing.prepare(inputs[evenly_spaced(len(inputs), OVERLAP_ITEMS)])
        done = _smaller(done, directory / MODEL_FILE, measured, spec)
        # What is served gives the golden vectors, so its own rounding is not part of a difference.
        wanted = run_onnx(directory / MODEL_FILE, prepared)
    write_golden(directory, Golden(chosen[:GOLDEN_ITEMS], wanted[:GOLDEN_ITEMS]))
    return done


def _smaller(done: Exported, path: Path, measured: Prepared, spec: ExportSpec) -> Exported:
    """Replaces the graph by the one that `spec` asks for; of `measured` items, what that costs."""
    weights = spec.weights or Weights.FLOAT32
    if spec.int8 is not None:
        return replace(done, overlap=quantise(path, measured, spec.int8, weights), weights=weights)
    before = run_onnx(path, measured)
    write_float16(path, path)
    rounding = compare_rounded(run_onnx(path, measured), before)
    return replace(done, rounding=rounding, weights=weights)


def compare_rounded(embedded: Floats, wanted: Floats) -> Rounding:
    """Of [N, D] by rounded weights and by those of full precision.

    Raises ExportError below `MIN_ROUNDED_COSINE`, which needs no number of items. How good the
    rounded encoder is, gates tell: they measure what is published.
    """
    parity = parity_of(embedded, wanted)
    if not parity.min_cosine >= MIN_ROUNDED_COSINE:
        raise ExportError(
            f"with weights in float16 the least cosine with the embeddings of full precision is"
            f" {parity.min_cosine:.6f} over {parity.items} items (at least {MIN_ROUNDED_COSINE}):"
            " leave export.weights out"
        )
    enough = len(embedded) >= MIN_ITEMS
    return Rounding(parity, round(neighbour_overlap(wanted, embedded), 4) if enough else None)


def parity_of(embedded: Floats, wanted: Floats) -> Parity:
    """How far two embeddings [N, D] of the same items are apart."""
    cosine = (embedded * wanted).sum(axis=1) / (
        np.linalg.norm(embedded, axis=1) * np.linalg.norm(wanted, axis=1)
    )
    return Parity(len(embedded), float(np.abs(embedded - wanted).max()), float(cosine.min()))


def compare(embedded: Floats, wanted: Floats) -> Parity:
    """Raises ExportError beyond `MAX_ABSOLUTE` or below `MIN_COSINE`, or when not finite."""
    parity = parity_of(embedded, wanted)
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
