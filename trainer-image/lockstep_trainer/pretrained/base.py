"""A published transformer as a training starts from it: weights, tokenizer, and how both were
used. Needs no torch, so that `validate` can read texts with its tokenizer at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from lockstep_core.artifacts import ArtifactError, ArtifactStore, ModelManifest
from lockstep_core.encoding.preprocessing import PREPROCESS_FILE, TextContract
from lockstep_core.encoding.tokens import TOKENIZER_FILE, TokensSpec
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_core.protocol.training.encoder import BaseSpec, Pooling
from lockstep_trainer.pretrained.head import Head, HeadOfNetwork

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
NETWORK_FILE = "network.json"
"""What the weights are the weights of: `networks.base.Architecture`."""


class NetworkError(ValueError):
    """The encoder cannot be built as the spec asks; the message names the field and the fix."""


@dataclass(frozen=True)
class Pretrained:
    """`folder` holds the weights and `config.json`; `tokenizer` are the bytes of tokenizer.json;
    `text`, `pooling` and `head`, what follows it, are what they were published with."""

    folder: Path
    text: TokensSpec
    pooling: Pooling
    tokenizer: bytes
    head: Head = field(default_factory=Head)


def fetch_base(base: BaseSpec, artifacts: ArtifactsSpec, into: Path) -> Pretrained:
    """The artifact of `encoder.base`, every file checked against its digest.

    Raises ArtifactError or StoreError, and NetworkError for a model of another architecture.
    """
    try:
        store = ArtifactStore.open_source(artifacts, base.uri)
        manifest = store.fetch(base.digest, into, ModelManifest)
    except ArtifactError as error:
        raise ArtifactError(f"training.encoder.base ({base.uri}): {error}") from error
    return open_base(into, manifest)


def open_base(folder: Path, manifest: ModelManifest) -> Pretrained:
    """An artifact that was fetched into `folder`; raises NetworkError unless it is a Transformer
    with its weights."""
    listed = {entry.path for entry in manifest.files}
    if missing := {WEIGHTS_FILE, CONFIG_FILE, TOKENIZER_FILE, PREPROCESS_FILE} - listed:
        raise NetworkError(
            f"encoder.base has no {', '.join(sorted(missing))}: name the artifact of a Transformer,"
            " such as `lockstep-train export --folder` makes of published weights"
        )
    try:
        contract = TextContract.model_validate_json((folder / PREPROCESS_FILE).read_bytes())
        pooling = Pooling(manifest.pooling)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        raise NetworkError(f"encoder.base: {PREPROCESS_FILE}: {problem}") from error
    except ValueError as error:
        raise NetworkError(f"encoder.base is pooled as {manifest.pooling}: {error}") from error
    if not isinstance(contract.preprocessor, TokensSpec):
        raise NetworkError("encoder.base reads bytes, not tokens: it is no Transformer")
    tokenizer = (folder / TOKENIZER_FILE).read_bytes()
    return Pretrained(folder, contract.preprocessor, pooling, tokenizer, _head(folder))


def _head(folder: Path) -> Head:
    """What follows the pooling, as `network.json` says: artifacts of before have no such file, or
    nothing of it in it."""
    file = folder / NETWORK_FILE
    try:
        named = HeadOfNetwork.model_validate_json(file.read_bytes()) if file.is_file() else None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        raise NetworkError(f"encoder.base: {NETWORK_FILE}: {problem}") from error
    layers = (named and named.head) or ()
    return Head.in_artifact(layers, folder / WEIGHTS_FILE)
