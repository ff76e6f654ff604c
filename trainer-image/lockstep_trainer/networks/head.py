"""The layers that follow the pooling of a published model."""

from __future__ import annotations

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from lockstep_trainer.pretrained.base import NetworkError
from lockstep_trainer.pretrained.head import (
    Activation,
    DenseLayer,
    Head,
    HeadLayer,
    LayerNormLayer,
    LayerWeights,
)

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    Activation.IDENTITY: nn.Identity,
    Activation.TANH: nn.Tanh,
    Activation.RELU: nn.ReLU,
    Activation.GELU: nn.GELU,
    Activation.SIGMOID: nn.Sigmoid,
    Activation.SILU: nn.SiLU,
}


def load_head(head: Head) -> nn.Sequential:
    """Float32 [B, width] -> [B, other width], with its published weights; raises NetworkError.

    Names of weights are those that sentence-transformers gives them.
    """
    layers = nn.Sequential()
    for layer, weights in zip(head.layers, head.weights, strict=True):
        built = _build(layer)
        if weights is not None and built.state_dict():
            _load(built, weights, layer)
        layers.append(built)
    return layers


class _Dense(nn.Module):
    def __init__(self, spec: DenseLayer) -> None:
        super().__init__()
        self.linear = nn.Linear(spec.in_features, spec.out_features, bias=spec.bias)
        self.activation = _ACTIVATIONS[spec.activation]()
        self.adds = spec.residual
        if spec.residual and spec.in_features != spec.out_features:
            self.residual = nn.Linear(spec.in_features, spec.out_features, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.activation(self.linear(inputs))
        if not self.adds:
            return found
        # Only where widths differ there are weights to project by.
        before: Tensor = self.residual(inputs) if hasattr(self, "residual") else inputs
        return found + before


class _LayerNorm(nn.Module):
    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dimension)

    def forward(self, inputs: Tensor) -> Tensor:
        normed: Tensor = self.norm(inputs)
        return normed


class _Normalize(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return functional.normalize(inputs, dim=1)


def _build(layer: HeadLayer) -> nn.Module:
    match layer:
        case DenseLayer():
            return _Dense(layer)
        case LayerNormLayer():
            return _LayerNorm(layer.dimension)
        case _:
            return _Normalize()


def _load(built: nn.Module, weights: LayerWeights, layer: HeadLayer) -> None:
    place = f"encoder.base: {weights.file.parent.name}/{weights.file.name}"
    try:
        stored = load_file(weights.file)
    except (OSError, SafetensorError) as error:
        raise NetworkError(f"{place} cannot be read: {error}") from error
    named = {
        name.removeprefix(weights.prefix): weight.float()
        for name, weight in stored.items()
        if name.startswith(weights.prefix)
    }
    wanted = {name: tuple(weight.shape) for name, weight in built.state_dict().items()}
    given = {name: tuple(weight.shape) for name, weight in named.items()}
    if wrong := sorted(f"{name} {shape}" for name, shape in wanted.items() ^ given.items()):
        raise NetworkError(
            f"{place} does not hold the weights of its {layer.kind} layer: {len(wrong)} differ,"
            f" e.g. {', '.join(wrong[:4])}"
        )
    built.load_state_dict(named)
