"""What follows the pooling of a published model: layers in their order, and where their weights
lie. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lockstep_core.protocol.base import Contract

Width = Annotated[int, Field(ge=1, le=65536)]


class Activation(StrEnum):
    """Named as the class of `torch.nn`."""

    IDENTITY = "Identity"
    TANH = "Tanh"
    RELU = "ReLU"
    GELU = "GELU"
    SIGMOID = "Sigmoid"
    SILU = "SiLU"


class DenseLayer(Contract):
    """activation(W x + b), and x added to it with `residual` (projected where widths differ)."""

    kind: Literal["Dense"] = "Dense"
    in_features: Width
    out_features: Width
    bias: bool
    activation: Activation
    residual: bool = False


class LayerNormLayer(Contract):
    """Mean 0 and variance 1 over the vector, then a learned scale and shift."""

    kind: Literal["LayerNorm"] = "LayerNorm"
    dimension: Width


class NormalizeLayer(Contract):
    """Unit norm, before what follows."""

    kind: Literal["Normalize"] = "Normalize"


HeadLayer = Annotated[DenseLayer | LayerNormLayer | NormalizeLayer, Field(discriminator="kind")]


class HeadOfNetwork(BaseModel):
    """What `network.json` of an artifact says of these layers."""

    model_config = ConfigDict(extra="ignore")

    head: tuple[HeadLayer, ...] | None = None


HEAD = "head."
"""What the names of its weights begin with in an artifact of ours."""


@dataclass(frozen=True)
class LayerWeights:
    """A safetensors file, and what the names of a layer's weights begin with there."""

    file: Path
    prefix: str = ""


@dataclass(frozen=True)
class Head:
    """`weights` are those of each of `layers`; None of one that has none."""

    layers: tuple[HeadLayer, ...] = ()
    weights: tuple[LayerWeights | None, ...] = ()

    @classmethod
    def in_artifact(cls, layers: tuple[HeadLayer, ...], file: Path) -> Head:
        """As an artifact of ours holds it."""
        return cls(layers, tuple(LayerWeights(file, f"{HEAD}{at}.") for at in range(len(layers))))

    def width(self, given: int) -> int:
        """Of what comes out when vectors of the width `given` go in; raises ValueError."""
        for layer in self.layers:
            match layer:
                case DenseLayer() if layer.in_features == given:
                    given = layer.out_features
                case DenseLayer():
                    raise ValueError(
                        f"a Dense layer takes {layer.in_features} numbers, but is given {given}"
                    )
                case LayerNormLayer() if layer.dimension != given:
                    raise ValueError(
                        f"a LayerNorm takes {layer.dimension} numbers, but is given {given}"
                    )
        return given
