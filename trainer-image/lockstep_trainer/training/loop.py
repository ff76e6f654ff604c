"""The training loop: PK batches, mined triplets, AdamW on a one-cycle schedule."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lockstep_core.datasets.dataset import Inputs, Strings
from lockstep_core.protocol.training import OptimizerSpec, TrainingSpec
from lockstep_trainer.gradient_cache import backward
from lockstep_trainer.networks import Network
from lockstep_trainer.objectives import build_objective
from lockstep_trainer.sampling import PKSampler

REPORT_EVERY = 10
"""Steps between two looks at the loss: each look waits for the accelerator."""

FINAL_STEPS = 20
"""The final loss is the mean over the last steps: a single batch says little."""


class Diverged(Exception):
    """Training went wrong for good; the message has the number, the bound and what to try."""


class Stopped(Exception):
    """Training was asked to stop before its last step."""


@dataclass(frozen=True)
class CurvePoint:
    """The state of training after `step` steps.

    `loss` and `active_triplets` (share of triplets with a positive hinge) are means since the
    point before; `variance` is 1 - |mean embedding|^2 of the step's batch, near 0 on collapse.
    """

    step: int
    loss: float
    active_triplets: float
    variance: float
    learning_rate: float

    def to_wire(self) -> dict[str, float]:
        return {key: round(float(value), 6) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Training:
    """What a finished run leaves besides the weights."""

    curve: tuple[CurvePoint, ...]
    final_loss: float
    active_triplets: float
    skipped_anchors: int


Observer = Callable[[CurvePoint], None]


def train(
    network: Network,
    inputs: Inputs,
    labels: Strings,
    spec: TrainingSpec,
    *,
    device: torch.device,
    observe: Observer = lambda point: None,
    stop: Callable[[], bool] = lambda: False,
) -> Training:
    """Trains `network` in place for `spec.budget.max_steps` steps and leaves it on `device`.

    On one machine's CPU, with the same number of threads, the same arguments give the same weights
    bit for bit.

    Args:
        inputs: the training items, as `Dataset.inputs`.
        labels: their classes.
        observe: is shown a point every `REPORT_EVERY` steps and at the end.
        stop: is asked before each step.

    Raises:
        Stopped: `stop` said so.
        Diverged: the loss is not finite.
    """
    batch = spec.batch
    sampler = PKSampler(labels, classes=batch.classes, per_class=batch.per_class, seed=spec.seed)
    names, inverse = np.unique(labels, return_inverse=True)
    codes = torch.from_numpy(inverse.astype(np.int64))
    network.to(device).train()
    objective = build_objective(spec, classes=len(names), seed=spec.seed).to(device).train()
    together = nn.ModuleList([network, objective])
    optimiser, schedule = _optimiser(together, spec.optimizer, spec.budget.max_steps)
    window = _Window(spec, observe)
    for step in range(1, spec.budget.max_steps + 1):
        if stop():
            raise Stopped(f"stopped before step {step} of {spec.budget.max_steps}")
        rows = next(sampler)
        items = torch.from_numpy(rows)
        optimiser.zero_grad(set_to_none=True)
        outcome, embeddings = backward(
            network,
            objective,
            torch.from_numpy(inputs[rows]).to(device),
            codes[items].to(device),
            items.to(device),
            chunk=None,
        )
        nn.utils.clip_grad_norm_(together.parameters(), float(spec.optimizer.clip_norm))
        rate = optimiser.param_groups[0]["lr"]
        optimiser.step()
        schedule.step()
        window.add(step, outcome.loss.detach(), outcome.active, outcome.skipped)
        if step % REPORT_EVERY == 0 or step == spec.budget.max_steps:
            window.close(embeddings, rate)
    network.eval()
    return window.result()


def batch_variance(embeddings: Tensor) -> float:
    """1 - |mean|^2 of L2-normalised rows [B, D]: 0 when they all coincide."""
    return 1.0 - float(embeddings.to(torch.float32).mean(dim=0).square().sum())


def _optimiser(
    network: nn.Module, spec: OptimizerSpec, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW (arXiv 1711.05101) with the one-cycle policy (arXiv 1708.07120)."""
    peak = float(spec.learning_rate)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=peak, weight_decay=float(spec.weight_decay)
    )
    # One more than is taken: the scheduler refuses to be stepped beyond its last value, and its
    # warm-up share of a single step would be an empty interval.
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=peak, total_steps=max(steps, REPORT_EVERY) + 1
    )
    return optimiser, schedule


class _Window:
    """Means since the last look, and over the last steps; refuses a loss that is not finite."""

    def __init__(self, spec: TrainingSpec, observe: Observer) -> None:
        self._spec, self._observe = spec, observe
        self._losses: list[Tensor] = []
        self._active: list[Tensor] = []
        self._last: deque[tuple[float, float]] = deque(maxlen=FINAL_STEPS)
        self._curve: list[CurvePoint] = []
        self._step = self._skipped = 0

    def add(self, step: int, loss: Tensor, active: Tensor, skipped: int) -> None:
        self._step = step
        self._skipped += skipped
        self._losses.append(loss)
        self._active.append(active)

    def close(self, embeddings: Tensor, rate: float) -> None:
        losses = torch.stack(self._losses).tolist()
        active = torch.stack(self._active).tolist()
        self._losses, self._active = [], []
        if not all(map(math.isfinite, losses)):
            raise Diverged(_not_finite(self._step, losses, self._spec))
        self._last.extend(zip(losses, active, strict=True))
        point = CurvePoint(
            step=self._step,
            loss=_mean(losses),
            active_triplets=_mean(active),
            variance=batch_variance(embeddings),
            learning_rate=float(rate),
        )
        self._curve.append(point)
        self._observe(point)

    def result(self) -> Training:
        losses, active = zip(*self._last, strict=True)
        return Training(tuple(self._curve), _mean(losses), _mean(active), self._skipped)


def _mean(values: list[float] | tuple[float, ...]) -> float:
    return sum(values) / len(values)


def _not_finite(step: int, losses: list[float], spec: TrainingSpec) -> str:
    worst = next(loss for loss in losses if not math.isfinite(loss))
    return (
        f"the loss is {worst} within the steps up to {step} of {spec.budget.max_steps}; it must be"
        f" finite. Lower optimizer.learningRate (now {spec.optimizer.learning_rate}, try a third)"
        f" or optimizer.clipNorm (now {spec.optimizer.clip_norm}), and look for extreme values in"
        " the vectors of the data set"
    )
