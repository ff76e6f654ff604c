"""A trained network from the files of its artifact."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from lockstep_core.artifacts import InputKind, ModelManifest
from lockstep_core.encoding.bytes_text import BytesSpec
from lockstep_core.encoding.preprocessing import PREPROCESS_FILE, Preprocessing, TextContract
from lockstep_core.protocol.training import EncoderKind, EncoderSpec
from lockstep_core.protocol.training.encoder import BaseSpec
from lockstep_trainer.networks.base import Architecture, Network
from lockstep_trainer.networks.building import build_network
from lockstep_trainer.pretrained.base import NETWORK_FILE, WEIGHTS_FILE, NetworkError, open_base


def restore(folder: Path, manifest: ModelManifest, *, source: BaseSpec) -> Network:
    """The network whose artifact was fetched into `folder` from `source`.

    Raises NetworkError when the artifact does not hold what a network is made of.
    """
    architecture = _architecture(folder, manifest)
    transformer = architecture.kind is EncoderKind.TRANSFORMER
    text = _bytes(folder) if manifest.input.kind is InputKind.TEXT and not transformer else None
    spec = EncoderSpec(
        kind=architecture.kind,
        dimension=architecture.dimension,
        width=architecture.width,
        entrypoint=architecture.entrypoint,
        matryoshka_dimensions=architecture.matryoshka_dimensions,
        base=source if transformer else None,
        max_length=text.max_length if text else None,
        overlong=text.overlong if text else None,
    )
    base = open_base(folder, manifest) if transformer else None
    network = build_network(spec, manifest.input.shape, seed=0, base=base)
    if manifest.input.kind is InputKind.IMAGE:
        # It goes on to read images as it was trained to.
        network.preprocessing = Preprocessing(manifest.input)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (OSError, SafetensorError, RuntimeError) as error:
        lines = str(error).splitlines()
        raise NetworkError(
            f"{WEIGHTS_FILE} does not fit {NETWORK_FILE}: {' '.join(lines[:2])[:300]}"
        ) from error
    return network


def _architecture(folder: Path, manifest: ModelManifest) -> Architecture:
    listed = {entry.path for entry in manifest.files}
    if missing := {NETWORK_FILE, WEIGHTS_FILE} - listed:
        raise NetworkError(
            f"the artifact has no {' and no '.join(sorted(missing))}: it was not trained or"
            " exported by this version, so there is nothing to export it from again"
        )
    try:
        return Architecture.model_validate_json((folder / NETWORK_FILE).read_bytes())
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        raise NetworkError(f"{NETWORK_FILE}: {problem}") from error


def _bytes(folder: Path) -> BytesSpec:
    try:
        contract = TextContract.model_validate_json((folder / PREPROCESS_FILE).read_bytes())
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        raise NetworkError(f"{PREPROCESS_FILE}: {problem}") from error
    if not isinstance(contract.preprocessor, BytesSpec):
        raise NetworkError(f"{PREPROCESS_FILE} prepares tokens, but {NETWORK_FILE} reads bytes")
    return contract.preprocessor
