"""Forward and backward of one batch, whole or in chunks, by one process or by several.

In chunks (Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup,
arXiv 2101.06983) the network first embeds the batch chunk by chunk without keeping activations;
the loss is then taken over all embeddings, and each chunk is run again, with the random numbers of
its first run, when its gradient is due. Loss and gradient are those of the whole batch, and only
one chunk's activations exist at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from lockstep_trainer.distributed.process_group import ALONE, ProcessGroup
from lockstep_trainer.objectives import Objective, Outcome


class CannotChunk(ValueError):
    """The network looks at the whole batch, so chunks would give another gradient."""


def backward(
    network: nn.Module,
    objective: Objective,
    inputs: Tensor,
    labels: Tensor,
    items: Tensor,
    *,
    chunk: int | None,
    group: ProcessGroup = ALONE,
) -> tuple[Outcome, Tensor]:
    """Adds the gradient of a batch to the parameters of `network` and `objective`.

    Args:
        inputs: [B, ...], what the network takes; of several processes, each its own slice.
        labels: int64 [B].
        items: int64 [B], which item each row holds.
        chunk: items that pass through the network at a time; None: all.
        group: the processes that embed the batch together. Each gets the gradient of all of it.

    Returns:
        The outcome, and the embeddings [B, D] without their graph.

    Raises:
        CannotChunk: the batch is cut, and the network holds a BatchNorm.
        MemberLost: another process is gone.
    """
    if group.size > 1:
        refuse_batch_norm(network, "distributed")
    own = network(inputs) if chunk is None else _in_chunks(network, inputs, chunk)
    embeddings = group.gather(own, len(labels))
    outcome = objective(embeddings, labels, items)
    torch.autograd.backward(outcome.loss)
    group.sum_gradients(network, objective)
    return outcome, embeddings.detach()


def _in_chunks(network: nn.Module, inputs: Tensor, chunk: int) -> Tensor:
    """Embeddings [B, D] whose activations are computed again, chunk by chunk, in the backward."""
    refuse_batch_norm(network, "batch.chunkSize")
    parts = [
        checkpoint(network, part, use_reentrant=False, preserve_rng_state=True)
        for part in torch.split(inputs, chunk)
    ]
    return torch.cat(parts)


def refuse_batch_norm(network: nn.Module, field: str) -> None:
    """Raises CannotChunk when a layer of `network` takes statistics over the batch."""
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm):
            raise CannotChunk(
                f"{field} is set, but layer {name or 'network'} is a {type(module).__name__}: its"
                " statistics would be those of a part, not of the batch. Leave"
                f" {field} out, or use GroupNorm or LayerNorm"
            )
