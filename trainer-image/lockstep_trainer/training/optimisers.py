"""AdamW, the schedules of its learning rate, and both as plain tensors and JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from lockstep_core.protocol.training import OptimizerSpec, Schedule
from lockstep_trainer.training.curve import REPORT_EVERY

ONE_CYCLE_WARMUP = 0.3
"""Share of the steps in which the one-cycle rate rises, unless `warmupSteps` says otherwise."""


def build_optimiser(
    parameters: Iterable[nn.Parameter], spec: OptimizerSpec, steps: int, *, scale: float = 1.0
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """AdamW (arXiv 1711.05101) and its schedule over `steps` steps.

    `scale` multiplies the peak learning rate. OneCycle is arXiv 1708.07120, Cosine without
    restarts arXiv 1608.03983.
    """
    peak = float(spec.learning_rate) * scale
    optimiser = torch.optim.AdamW(parameters, lr=peak, weight_decay=float(spec.weight_decay))
    if spec.schedule is not Schedule.ONE_CYCLE:
        return optimiser, LambdaLR(optimiser, _factor(spec, steps))
    # One more than is taken: the scheduler refuses to be stepped beyond its last value, and its
    # warm-up share of a single step would be an empty interval.
    total = max(steps, REPORT_EVERY) + 1
    rising = ONE_CYCLE_WARMUP
    if spec.warmup_steps is not None:
        # The peak is at `rising * total - 1`.
        rising = (max(1, min(spec.warmup_steps, steps - 1)) + 1) / total
    return optimiser, OneCycleLR(optimiser, max_lr=peak, total_steps=total, pct_start=rising)


def _factor(spec: OptimizerSpec, steps: int) -> Callable[[int], float]:
    """The share of the peak rate at each step, counted from 0."""
    warmup = min(spec.warmup_steps or 0, steps - 1)
    annealing = max(1, steps - warmup)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if spec.schedule is Schedule.CONSTANT:
            return 1.0
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / annealing)))

    return factor


def pack(
    optimiser: torch.optim.Optimizer, schedule: LRScheduler
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by `<parameter>/<name>`, and the rest as JSON."""
    whole = optimiser.state_dict()
    tensors: dict[str, Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for parameter, values in whole["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{parameter}/{name}"] = value
            else:
                plain.setdefault(str(parameter), {})[name] = value
    rest = {"plain": plain, "groups": whole["param_groups"], "schedule": _plain(schedule)}
    return tensors, rest


def unpack(
    optimiser: torch.optim.Optimizer,
    schedule: LRScheduler,
    tensors: dict[str, Tensor],
    rest: dict[str, Any],
) -> None:
    """Puts back what `pack` gave, into an optimiser and a schedule of the same spec."""
    state: dict[int, dict[str, Any]] = {int(key): dict(v) for key, v in rest["plain"].items()}
    for key, value in tensors.items():
        parameter, _, name = key.partition("/")
        state.setdefault(int(parameter), {})[name] = value
    groups = [
        {key: tuple(value) if key == "betas" else value for key, value in group.items()}
        for group in rest["groups"]
    ]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    schedule.load_state_dict(rest["schedule"])


def _plain(schedule: LRScheduler) -> dict[str, Any]:
    """The schedule's own numbers; functions are made again from the spec."""
    state = schedule.state_dict()
    return {key: value for key, value in state.items() if not callable(value)}
