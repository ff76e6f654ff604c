"""The user's own network: `package.module:factory`, and the proof that it keeps the contract."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lockstep_core.encoding.bytes_text import BytesPreprocessor, BytesSpec
from lockstep_core.encoding.preprocessing import TEXT, Preprocessing
from lockstep_trainer.networks.base import Network, raw_input
from lockstep_trainer.networks.onnx_graph import ExportError, write_onnx
from lockstep_trainer.pretrained.base import NetworkError

ITEMS = 3
TEXT_LENGTH = 24
UNIT_TOLERANCE = 1e-3
NEIGHBOUR_TOLERANCE = 1e-4

CONTRACT = (
    "it takes the items of a batch as they are (images uint8 [B, H, W] or [B, H, W, C], vectors"
    " float32 [B, D], texts uint8 [B, L]: UTF-8 padded with 0) and returns float32"
    " [B, dimension], each row of norm 1"
)


class Custom(Network):
    """A module of the user's in the place of ours. Its parameters keep their own names."""

    pooling = "Custom"

    def __init__(self, module: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.module = module

    def forward(self, inputs: Tensor) -> Tensor:
        embeddings: Tensor = self.module(inputs)
        return embeddings


def build_custom(
    entrypoint: str, shape: Sequence[int], *, text: BytesSpec, width: int, dimension: int
) -> Custom:
    """What the factory returns, once `check` has passed; raises NetworkError."""
    factory = _factory(entrypoint)
    try:
        module = factory(shape=tuple(shape), width=width, dimension=dimension)
    # Anything may come out of code that is not ours.
    except Exception as error:
        raise _wrong(
            entrypoint,
            f"called with shape={tuple(shape)}, width={width}, dimension={dimension} it raised"
            f" {_said(error)}",
        ) from error
    if not isinstance(module, nn.Module):
        raise _wrong(entrypoint, f"it returned {type(module).__name__}, not a torch.nn.Module")
    if shape:
        preprocessing = Preprocessing(raw_input(shape))
    else:
        preprocessing = Preprocessing(TEXT, BytesPreprocessor(text))
    network = Custom(module, preprocessing)
    check(network, entrypoint, dimension)
    return network


def check(network: Custom, entrypoint: str, dimension: int) -> None:
    """Embeds three items and exports the graph, before any training; raises NetworkError."""
    for name, layer in network.module.named_modules():
        if isinstance(layer, _BatchNorm):
            raise _wrong(
                entrypoint,
                f"{name} is a {type(layer).__name__}: an item's embedding would depend on its"
                " neighbours in the batch. Use GroupNorm or LayerNorm",
            )
    inputs = example(network.preprocessing)
    network.eval()
    with torch.inference_mode():
        try:
            together = network(inputs)
            alone = torch.cat([network(each) for each in _one_by_one(network, inputs)])
        except Exception as error:
            raise _wrong(entrypoint, f"{_input(inputs)} made it raise {_said(error)}") from error
    if problem := _problem(together, alone, dimension):
        raise _wrong(entrypoint, problem)
    with tempfile.TemporaryDirectory(prefix="lockstep-custom-") as folder:
        try:
            write_onnx(network, inputs.numpy(), network.preprocessing, Path(folder) / "model.onnx")
        except ExportError as error:
            raise _wrong(entrypoint, str(error)) from error
    network.train()


def example(preprocessing: Preprocessing) -> Tensor:
    """Random items [3, ...] from a seed of their own; texts of unequal length."""
    generator = torch.Generator().manual_seed(0)
    dtype, axes = preprocessing.tensor
    if preprocessing.text is not None:
        text = (ITEMS, TEXT_LENGTH)
        tokens = torch.randint(32, 127, text, dtype=torch.uint8, generator=generator)
        tokens[0, TEXT_LENGTH // 2 :] = preprocessing.text.pad
        return tokens
    shape = (ITEMS, *(axis or 1 for axis in axes))
    if dtype == "uint8":
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return torch.randn(shape, generator=generator)


def _one_by_one(network: Custom, inputs: Tensor) -> list[Tensor]:
    """Batches of one, texts without the padding that they have beside a longer one."""
    rows = [inputs[row : row + 1] for row in range(ITEMS)]
    if (text := network.preprocessing.text) is None:
        return rows
    return [row[:, : int((row != text.pad).sum())] for row in rows]


def _problem(together: Any, alone: Any, dimension: int) -> str | None:
    if not isinstance(together, Tensor):
        return f"it gave {type(together).__name__}, not a tensor"
    if together.shape != (ITEMS, dimension) or together.dtype != torch.float32:
        return (
            f"for {ITEMS} items it gave {together.dtype} {list(together.shape)}, not torch.float32"
            f" {[ITEMS, dimension]}: encoder.dimension is {dimension}"
        )
    norms = together.norm(dim=1)
    if not torch.allclose(norms, torch.ones(ITEMS), atol=UNIT_TOLERANCE):
        return (
            f"its rows have the norms {[round(float(norm), 4) for norm in norms]}: end with"
            " torch.nn.functional.normalize(x, dim=1)"
        )
    apart = float((together - alone).abs().max())
    if not apart <= NEIGHBOUR_TOLERANCE:
        return (
            f"an item alone and in a batch differ by {apart:.3g} (at most {NEIGHBOUR_TOLERANCE}):"
            " no layer may look at other items of the batch, or at padding"
        )
    return None


def _factory(entrypoint: str) -> Any:
    module, _, name = entrypoint.partition(":")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise NetworkError(
            f"encoder.entrypoint {entrypoint} cannot be imported ({error}): install the package in"
            " an image that is built FROM the trainer's, and name it as package.module:factory"
        ) from error
    except Exception as error:
        raise _wrong(entrypoint, f"importing it raised {_said(error)}") from error
    if not callable(factory):
        raise _wrong(entrypoint, f"it is a {type(factory).__name__}, not a function")
    return factory


def _wrong(entrypoint: str, what: str) -> NetworkError:
    return NetworkError(f"encoder.entrypoint {entrypoint}: {what}. The contract: {CONTRACT}")


def _input(inputs: Tensor) -> str:
    return f"an input of {inputs.dtype} {list(inputs.shape)}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}"
