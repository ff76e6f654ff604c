"""In which arithmetic the encoder is trained: bfloat16, compiled, reproducible."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lockstep_core.protocol.training import Autocast, PrecisionSpec

CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


class Autocasting(nn.Module):
    """A network whose layers compute in bfloat16 where that is safe.

    What it gives is float32 of unit norm again: in bfloat16 a norm is off by a hundredth, and
    distances of close pairs would be rounding alone.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.network = network
        self._device = device.type

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(self._device, dtype=torch.bfloat16):
            embeddings: Tensor = self.network(inputs)
        return functional.normalize(embeddings.to(torch.float32), dim=1)


def prepare(
    network: nn.Module,
    spec: PrecisionSpec,
    sample: Callable[[], Tensor],
    *,
    device: torch.device,
    warn: Callable[[str], None],
) -> nn.Module:
    """What the loop calls in place of `network`, with the same parameters.

    `sample` gives a batch on `device`, tried once when the network is compiled. Where that fails
    (no C compiler, a construct that cannot be traced) the network is trained as it is.
    """
    trunk = network
    if spec.compile:
        trunk = _compiled(network, sample(), warn)
    return Autocasting(trunk, device) if spec.autocast is Autocast.BF16 else trunk


def _compiled(network: nn.Module, sample: Tensor, warn: Callable[[str], None]) -> nn.Module:
    compiled = cast(nn.Module, torch.compile(network))
    try:
        # A trial forward and backward, for which no random number is spent.
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.autograd.backward(compiled(sample).sum())
    except Exception as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        warn(
            f"precision.compile: torch.compile failed ({type(error).__name__}: {cause[:200]}); the"
            " encoder is trained uncompiled. Set precision.compile to false, or give the image a"
            " C compiler"
        )
        return network
    finally:
        network.zero_grad(set_to_none=True)
    return compiled


@contextmanager
def reproducible(wanted: bool) -> Iterator[None]:
    """Kernels that give the same bits each time, while the context lasts.

    A kernel without such a form is used as it is, with torch's own warning.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    # Read by cuBLAS when it starts.
    os.environ.setdefault(CUBLAS_WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
