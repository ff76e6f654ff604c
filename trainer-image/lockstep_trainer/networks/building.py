"""The network that `training.encoder` asks for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lockstep_core.protocol.training import EncoderKind, EncoderSpec
from lockstep_trainer.networks.base import Architecture, Network
from lockstep_trainer.networks.char_cnn import CharCNN
from lockstep_trainer.networks.cnn import CNN
from lockstep_trainer.networks.mlp import MLP
from lockstep_trainer.networks.transformer import build_transformer
from lockstep_trainer.pretrained.base import NetworkError, Pretrained
from lockstep_trainer.pretrained.text_inputs import bytes_spec, check_reads


def build_network(
    spec: EncoderSpec, shape: Sequence[int], *, seed: int, base: Pretrained | None = None
) -> Network:
    """A network with fresh weights (or those of `base`) for items of `shape` (without the batch
    axis; a text's is empty).

    The same spec, shape, seed and base give the same weights bit for bit, whatever ran before.

    Raises:
        NetworkError: the kind cannot read such items, or the base or the entrypoint is not usable.
    """
    check_reads(spec.kind, shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _built(spec, shape, base)
    network.architecture = Architecture.of(spec, base.head.layers if base else ())
    return network


def _built(spec: EncoderSpec, shape: Sequence[int], base: Pretrained | None) -> Network:
    match spec.kind:
        case EncoderKind.CNN:
            return CNN(shape=shape, width=spec.width, dimension=spec.dimension)
        case EncoderKind.MLP:
            return MLP(shape=shape, width=spec.width, dimension=spec.dimension)
        case EncoderKind.CHAR_CNN:
            return CharCNN(text=bytes_spec(spec), width=spec.width, dimension=spec.dimension)
        case EncoderKind.CUSTOM:
            # The exporter that checks it takes seconds to import.
            from lockstep_trainer.networks.custom import build_custom

            assert spec.entrypoint is not None
            return build_custom(
                spec.entrypoint,
                shape,
                text=bytes_spec(spec),
                width=spec.width,
                dimension=spec.dimension,
            )
        case EncoderKind.TRANSFORMER:
            if base is None:
                raise NetworkError("encoder.base was not loaded: a Transformer needs its weights")
            return build_transformer(spec, base)
