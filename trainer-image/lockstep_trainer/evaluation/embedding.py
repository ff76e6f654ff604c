"""From raw items to embeddings, with a network as it stands."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from lockstep_core.datasets.dataset import Inputs
from lockstep_core.encoding.ragged import batches
from lockstep_trainer.networks import Network

Floats = NDArray[np.float32]

ITEMS_PER_PASS = 512


def embed(network: Network, inputs: Inputs, *, device: torch.device) -> Floats:
    """Embeddings float32 [N, D] of raw items, in the network's evaluation mode."""
    network.to(device).eval()
    prepared = network.preprocessing.prepare(inputs)
    embeddings = np.empty((len(inputs), network.architecture.dimension), dtype=np.float32)
    with torch.inference_mode():
        for rows in batches(prepared, ITEMS_PER_PASS):
            batch = torch.from_numpy(prepared[rows]).to(device)
            embeddings[rows] = network(batch).cpu().numpy()
    return embeddings
