"""Where to compute: an accelerator when the pod has one, else the CPU."""

from __future__ import annotations

import torch


def choose_device() -> torch.device:
    """The accelerator that torch finds (CUDA, ROCm, XPU), else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
