"""A batch in chunks: the same loss and gradient, the activations of one chunk at a time."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.objectives import build_objective
from lockstep_trainer.training.gradient_cache import CannotChunk, backward

pytestmark = pytest.mark.unit


class Network(nn.Module):
    """Dropout included: both runs of a chunk must draw the same."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(12, 64), nn.GroupNorm(4, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 8)
        )
        self.drawn: list[torch.Tensor] = []
        self.layers[3].register_forward_hook(lambda _, inputs, output: self.drawn.append(output))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.layers(inputs), dim=1)


def parts(**spec):
    torch.manual_seed(0)
    network = Network(dropout=0.0 if spec.pop("exact", False) else 0.3)
    training = TrainingSpec.model_validate(
        {
            "data": {"uri": "file:///data.npz", "format": "NPZ"},
            "encoder": {"kind": "MLP", "dimension": 8},
            "budget": {"maxSteps": 1},
            **spec,
        }
    )
    objective = build_objective(training, classes=10, seed=0)
    labels = torch.arange(10).repeat_interleave(4)
    return network, objective, torch.randn(40, 12), labels, torch.arange(40)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"mining": {"strategy": "BatchAll"}},
        {"loss": {"name": "InfoNCE"}},
        {"loss": {"name": "ArcFace"}},
        {"mining": {"memory": {"size": 16}}},
    ],
    ids=str,
)
@pytest.mark.parametrize("chunk", [1, 7, 40, 100])
def test_chunks_give_the_gradient_of_the_whole_batch(spec, chunk):
    gradients = []
    for size in (None, chunk):
        network, objective, *batch = parts(exact=True, **spec)
        outcome, embeddings = backward(network, objective, *batch, chunk=size)
        together = nn.ModuleList([network, objective])
        flat = torch.cat([p.grad.flatten() for p in together.parameters()])
        gradients.append((outcome.loss.detach(), embeddings, flat))
    (loss, embeddings, whole), (chunked_loss, chunked_embeddings, chunked) = gradients
    assert float(chunked_loss) == pytest.approx(float(loss), rel=1e-6)
    torch.testing.assert_close(chunked_embeddings, embeddings)
    assert not chunked_embeddings.requires_grad
    apart = torch.linalg.vector_norm(chunked - whole) / torch.linalg.vector_norm(whole)
    assert float(apart) <= 1e-5


def test_the_second_run_of_a_chunk_draws_what_the_first_drew():
    network, objective, *batch = parts()
    backward(network, objective, *batch, chunk=16)
    first, second = network.drawn[:3], network.drawn[3:]
    assert [len(drawn) for drawn in first] == [16, 16, 8]
    assert len(second) == 3
    for again in second:
        assert any(torch.equal(again, drawn) for drawn in first)
    dropped = [(drawn == 0).float().mean() for drawn in first]
    assert min(dropped) > 0.3


def test_only_one_chunk_of_activations_is_kept():
    kept = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    totals = []
    for size in (None, 4):
        network, objective, *batch = parts()
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            embeddings = network(batch[0]) if size is None else None
            if embeddings is None:
                outcome, _ = backward(network, objective, *batch, chunk=size)
                assert torch.isfinite(outcome.loss)
        totals.append(max(kept, default=0))
    whole, chunked = totals
    assert whole == 40 * 64
    assert chunked < whole


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(8), nn.SyncBatchNorm(8)], ids=["batch", "sync"])
def test_a_network_that_looks_at_the_batch_is_refused(layer):
    network = nn.Sequential(nn.Linear(12, 8), layer)
    _, objective, *batch = parts()
    with pytest.raises(CannotChunk, match=r"batch\.chunkSize.*layer 1 is a .*BatchNorm"):
        backward(network, objective, *batch, chunk=8)
