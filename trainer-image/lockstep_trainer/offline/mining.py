"""From a network as it stands to the hard negatives of every training item."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lockstep_core.encoding.ragged import Prepared, batches
from lockstep_core.protocol.training import BatchSpec, OfflineMiningSpec
from lockstep_trainer.networks import Network
from lockstep_trainer.offline.guide import Guide
from lockstep_trainer.offline.neighbours import hard_negatives

ITEMS_PER_PASS = 512


class Outdated(Exception):
    """Embeddings are of another network than the one that is trained."""


@dataclass(frozen=True)
class Embedded:
    """`vectors` float32 [N, D] of all training items, by the network `model_digest`."""

    vectors: Tensor
    model_digest: str


def weights_digest(network: Network) -> str:
    """sha256 over names, types, shapes and bytes of all weights and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        array = value.detach().cpu().contiguous()
        digest.update(f"{name} {array.dtype} {tuple(array.shape)}\n".encode())
        digest.update(array.flatten().view(torch.uint8).numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"


def embed_all(network: Network, inputs: Prepared, *, device: torch.device) -> Embedded:
    """Embeds prepared items on `device`; the network is left in the mode that it was in."""
    was_training = network.training
    network.eval()
    dimension = network.architecture.dimension
    vectors = torch.empty(len(inputs), dimension, device=device)
    with torch.no_grad():
        for rows in batches(inputs, ITEMS_PER_PASS):
            embeddings = network(torch.from_numpy(inputs[rows]).to(device))
            vectors[torch.from_numpy(rows).to(device)] = embeddings.float()
    network.train(was_training)
    return Embedded(vectors, weights_digest(network))


def mine(
    embedded: Embedded, codes: Tensor, spec: OfflineMiningSpec, *, network: Network, step: int
) -> Guide:
    """Hard negatives for the batches after `step`; `codes` are the classes, int64 [N].

    Raises Outdated when `network` is not the one that embedded the items.
    """
    now = weights_digest(network)
    if embedded.model_digest != now:
        raise Outdated(
            f"the embeddings to mine from are of the model {embedded.model_digest}, but the one in"
            f" training is {now}: their spaces cannot be compared. Embed the items anew"
        )
    negatives = hard_negatives(
        embedded.vectors,
        codes.to(embedded.vectors.device),
        min_rank=spec.min_rank,
        max_rank=spec.max_rank,
        per_anchor=spec.max_per_anchor,
        relative_margin=float(spec.relative_margin),
    )
    return Guide(np.ascontiguousarray(negatives.numpy()), step, now)


def due_every(spec: OfflineMiningSpec, batch: BatchSpec, items: int) -> int:
    """Steps from one mining to the next: an epoch is as many batches as hold `items` items."""
    if spec.every_steps is not None:
        return spec.every_steps
    assert spec.every_epochs is not None, "the contract has one of both"
    return max(1, -(-spec.every_epochs * items // (batch.classes * batch.per_class)))
