"""One training within a Job: what it reports, where it saves, and how its failures are named."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.datasets import Strings, flatten_raw
from lockstep_core.datasets.dataset import Inputs
from lockstep_core.jobs import JobFailure, Reporter, Stopping, preempted
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.distributed.process_group import ALONE, MemberLost, ProcessGroup
from lockstep_trainer.evaluation import Assessment, Evaluation, Floats, assess, embed
from lockstep_trainer.networks import Network
from lockstep_trainer.runtime.devices import choose_device
from lockstep_trainer.runtime.signals import CheckpointRequests
from lockstep_trainer.tracking import Tracker
from lockstep_trainer.training import (
    CurvePoint,
    Diverged,
    EvalPoint,
    Hooks,
    Identity,
    Keeper,
    Mined,
    Refused,
    Stopped,
    TakenOver,
    Training,
    train,
)
from lockstep_trainer.training.gradient_cache import CannotChunk
from lockstep_trainer.training.held_out import HeldOutEvaluator
from lockstep_trainer.validation import TrainingData


@dataclass(frozen=True)
class Fit:
    """A trained network. `contradicted`: (row of the training items, its label, the label that its
    neighbours agree on). `devices` are accelerators. `embeddings` [N, D] are of held-out items."""

    network: Network
    training: Training
    evaluation: Evaluation
    contradicted: tuple[tuple[int, str, str], ...]
    devices: int
    embeddings: Floats


def make_keeper(
    config: TrainConfig, data: TrainingData, store: ArtifactStore, reporter: Reporter
) -> Keeper:
    """The checkpoints of the release that `config` names."""
    return Keeper(
        store.checkpoints(config.release_uid),
        Identity.of(config.training, data.dataset.digest),
        writer=f"attempt {config.attempt} on {socket.gethostname()} (process {os.getpid()})",
        keep=config.training.checkpoint.keep,
        warn=reporter.warn,
    )


def fit(
    network: Network,
    spec: TrainingSpec,
    data: TrainingData,
    keeper: Keeper,
    reporter: Reporter,
    stopping: Stopping,
    requests: CheckpointRequests,
    serving: Callable[[Inputs], Floats | None] = lambda unseen: None,
    group: ProcessGroup = ALONE,
    tracker: Tracker | None = None,
) -> Fit:
    """Trains `network`, which has its fresh weights, and measures it beside the baselines; raises
    JobFailure when it stopped or went wrong. `serving` embeds held-out items with the model that
    answers users now."""
    device = choose_device()
    inputs, labels = data.dataset.inputs, data.dataset.labels
    seen, seen_labels = inputs[data.train_rows], labels[data.train_rows]
    unseen, unseen_labels = inputs[data.eval_rows], labels[data.eval_rows]
    devices = group.size * (device.type == "cuda")
    try:
        reporter.report(Phase.EVALUATING)
        raw = assess(flatten_raw(unseen), unseen_labels)
        untrained = _untrained(embed(network, unseen, device=device), unseen_labels)
        evaluator = HeldOutEvaluator(
            seen, seen_labels, unseen, unseen_labels, device=device, seed=spec.seed
        )
        progress = _ProgressReport(spec, reporter, devices, tracker or Tracker(None, reporter.warn))
        hooks = Hooks(
            observe=progress.point,
            evaluated=progress.evaluated,
            mined=progress.mined,
            found=lambda finding: reporter.warn(f"{finding.name}: {finding.message}"),
            warn=reporter.warn,
            resumed=progress.resumed,
            stop=stopping.is_set,
            save_now=requests.take,
            evaluate=evaluator.evaluate,
            untrained=untrained.quality.recall_at_1,
            keeper=keeper,
            devices=devices,
        )
        items = network.preprocessing.prepare(seen)
        training = train(network, items, seen_labels, spec, device=device, hooks=hooks, group=group)
        reporter.report(Phase.EVALUATING)
        embeddings = embed(network, unseen, device=device)
        trained = assess(embeddings, unseen_labels)
        now = serving(unseen)
        served = None if now is None else assess(now, unseen_labels)
    except (Stopped, Diverged, Refused, TakenOver) as error:
        raise _failure(error, keeper) from error
    except torch.OutOfMemoryError as error:
        raise out_of_memory(spec, device, error) from error
    except (CannotChunk, MemberLost) as error:
        raise shared_failure(error) from error
    quality = Evaluation(trained, untrained, raw, served)
    return Fit(network, training, quality, tuple(evaluator.contradicted), devices, embeddings)


def _untrained(embeddings: Floats, labels: Strings) -> Assessment:
    """Raises Diverged when the fresh encoder gives no numbers."""
    if not np.isfinite(embeddings).all():
        raise Diverged(
            "the untrained encoder gives embeddings that are not finite: correct its"
            " encoder.entrypoint, or the weights of its encoder.base",
            "LossNotFinite",
        )
    return assess(embeddings, labels)


class _ProgressReport:
    """Reports a run as it goes: loss, recall, time and cost, and what is left of them."""

    def __init__(
        self, spec: TrainingSpec, reporter: Reporter, devices: int, tracker: Tracker
    ) -> None:
        self._spec, self._reporter, self._devices = spec, reporter, devices
        self._tracker = tracker
        self._first = 0
        self._began = time.monotonic()

    def resumed(self, step: int) -> None:
        self._first = step
        self._began = time.monotonic()
        self._reporter.report(
            Phase.TRAINING, step, self._spec.budget.max_steps, resumedFromStep=step
        )

    def point(self, point: CurvePoint, seconds: float) -> None:
        spec, steps = self._spec, self._spec.budget.max_steps
        pace = (time.monotonic() - self._began) / max(1, point.step - self._first)
        left = pace * (steps - point.step)
        if spec.budget.max_seconds is not None:
            left = min(left, max(0.0, spec.budget.max_seconds - seconds))
        self._tracker.log(
            point.step,
            loss=point.loss,
            activeTriplets=point.active_triplets,
            variance=point.variance,
            learningRate=point.learning_rate,
        )
        self._reporter.report(
            Phase.TRAINING,
            point.step,
            steps,
            loss=point.loss,
            activeTriplets=point.active_triplets,
            variance=point.variance,
            itemsPerSecond=spec.batch.classes * spec.batch.per_class / max(1e-9, pace),
            trainingSeconds=seconds,
            remainingSeconds=left,
            gpuSeconds=seconds * self._devices,
        )

    def mined(self, mined: Mined) -> None:
        self._reporter.report(
            Phase.TRAINING,
            mined.step,
            self._spec.budget.max_steps,
            minedAnchors=mined.anchors,
            miningSeconds=mined.seconds,
        )

    def evaluated(self, point: EvalPoint) -> None:
        numbers = {
            "recallAt1": point.recall_at_1,
            "mapAtR": point.map_at_r,
            "heldOutVariance": point.variance,
        }
        if point.train_recall_at_1 is not None:
            numbers["trainRecallAt1"] = point.train_recall_at_1
        self._tracker.log(point.step, **numbers)
        self._reporter.report(Phase.TRAINING, point.step, self._spec.budget.max_steps, **numbers)


def _failure(error: Stopped | Diverged | Refused | TakenOver, keeper: Keeper) -> JobFailure:
    if isinstance(error, Stopped):
        kept = None if error.kept is None else f"its checkpoint of step {error.kept}"
        return preempted(str(error), goes_on=kept)
    if isinstance(error, TakenOver):
        return JobFailure(ExitCode.PREEMPTED, "TakenOver", str(error))
    if isinstance(error, Refused):
        return JobFailure(ExitCode.DIGEST_MISMATCH, "CheckpointRefused", str(error))
    # Nothing is worth resuming: the same steps would end the same way.
    keeper.discard()
    return JobFailure(ExitCode.DIVERGED, error.reason, str(error))


def shared_failure(error: CannotChunk | MemberLost) -> JobFailure:
    """A batch that cannot be cut, or a process that is gone: then all begin again together."""
    if isinstance(error, CannotChunk):
        return JobFailure(ExitCode.BAD_CONFIG, "EncoderDoesNotFit", f"training.{error}")
    message = f"{error}. All processes start again, from the newest checkpoint"
    return JobFailure(ExitCode.PREEMPTED, "MemberLost", message)


def out_of_memory(spec: TrainingSpec, device: torch.device, error: Exception) -> JobFailure:
    return JobFailure(
        ExitCode.OUT_OF_MEMORY,
        "OutOfMemory",
        f"{device} ran out of memory ({str(error).splitlines()[0]}): lower batch.classes (now"
        f" {spec.batch.classes}), batch.perClass (now {spec.batch.per_class}) or encoder.width"
        f" (now {spec.encoder.width})",
    )
