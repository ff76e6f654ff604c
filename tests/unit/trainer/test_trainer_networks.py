"""Both networks: raw items in, unit vectors out, nothing borrowed from the batch."""

from __future__ import annotations

import pytest
import torch

from lockstep_core.protocol.training import EncoderKind, EncoderSpec
from lockstep_trainer.networks import build_network

pytestmark = pytest.mark.unit

PLAIN = [EncoderKind.CNN, EncoderKind.MLP]
IMAGES = [(16, 16), (32, 32), (1, 1), (7, 40), (28, 28, 1), (20, 12, 3), (64, 64, 3)]


def items(shape: tuple[int, ...], count: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if len(shape) == 1:
        return torch.randn(count, *shape, generator=generator) * 1000
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)


def spec(kind: EncoderKind, width: int = 5) -> EncoderSpec:
    return EncoderSpec(kind=kind, dimension=7, width=width)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(kind, shape) for shape in IMAGES for kind in PLAIN] + [(EncoderKind.MLP, (9,))],
)
def test_an_embedding_has_unit_norm_and_does_not_depend_on_its_batch(kind, shape):
    network = build_network(spec(kind), shape, seed=0).train()
    inputs = items(shape)
    together = network(inputs)
    alone = torch.cat([network(inputs[row : row + 1]) for row in range(len(inputs))])
    assert together.shape == (6, 7)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_greyscale_with_and_without_a_channel_axis_is_the_same():
    with_axis = build_network(spec(EncoderKind.CNN), (16, 16, 1), seed=3)
    without = build_network(spec(EncoderKind.CNN), (16, 16), seed=3)
    inputs = items((16, 16))
    torch.testing.assert_close(with_axis(inputs[..., None]), without(inputs))


def test_channels_are_the_last_axis():
    network = build_network(spec(EncoderKind.CNN), (16, 16, 3), seed=3)
    inputs = items((16, 16, 3))
    weight = network.trunk[0][0].weight
    assert weight.shape[1] == 3
    with torch.no_grad():
        weight[:, 1:] = 0
    changed = inputs.clone()
    changed[..., 1:] = 0
    torch.testing.assert_close(network(inputs), network(changed))


@pytest.mark.parametrize("kind", PLAIN)
def test_weights_follow_from_the_seed_alone(kind):
    first = build_network(spec(kind), (16, 16), seed=11).state_dict()
    torch.rand(3)
    again = build_network(spec(kind), (16, 16), seed=11).state_dict()
    other = build_network(spec(kind), (16, 16), seed=12).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_building_a_network_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    build_network(spec(EncoderKind.MLP), (4,), seed=0)
    assert torch.equal(torch.rand(1), wanted)


def test_a_cnn_refuses_vectors_and_names_the_field():
    with pytest.raises(ValueError, match=r"encoder\.kind CNN.*\(9,\).*MLP"):
        build_network(spec(EncoderKind.CNN), (9,), seed=0)
