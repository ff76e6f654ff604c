"""One training within a Job: measured before, on its way and after, beside its baselines."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.datasets import Strings, flatten_raw
from lockstep_core.datasets.dataset import Inputs
from lockstep_core.jobs import Reporter, Stopping
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.progress import Phase
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.distributed.process_group import ALONE, ProcessGroup
from lockstep_trainer.evaluation import Assessment, Evaluation, Floats, assess, embed
from lockstep_trainer.networks import Network
from lockstep_trainer.runtime.devices import choose_device
from lockstep_trainer.runtime.signals import CheckpointRequests
from lockstep_trainer.tracking import Tracker
from lockstep_trainer.training.checkpoint_store import Checkpoints
from lockstep_trainer.training.checkpoints import Identity, Keeper
from lockstep_trainer.training.errors import Diverged
from lockstep_trainer.training.failures import as_job_failures
from lockstep_trainer.training.held_out import HeldOutEvaluator
from lockstep_trainer.training.loop import train
from lockstep_trainer.training.outcome import Training
from lockstep_trainer.training.progress import ProgressReport
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
        Checkpoints(store.backend, config.release_uid),
        Identity.of(config.training, data.dataset.digest),
        writer=f"attempt {config.attempt} on {socket.gethostname()} (process {os.getpid()})",
        keep=config.training.checkpoint.keep,
        warn=reporter.warn,
    )


def fit(
    network: Network,
    spec: TrainingSpec,
    data: TrainingData,
    *,
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
    (seen, seen_labels), (unseen, unseen_labels) = data.training(), data.held_out()
    devices = group.size * (device.type == "cuda")
    with as_job_failures(spec, device, keeper):
        reporter.report(Phase.EVALUATING)
        raw, untrained = _baselines(network, unseen, unseen_labels, device)
        evaluator = HeldOutEvaluator(
            seen, seen_labels, unseen, unseen_labels, device=device, seed=spec.seed
        )
        progress = ProgressReport(spec, reporter, devices, tracker or Tracker(None, reporter.warn))
        hooks = replace(
            progress.hooks(),
            stop=stopping.is_set,
            save_now=requests.take,
            evaluate=evaluator.evaluate,
            untrained=untrained.quality.recall_at_1,
            keeper=keeper,
        )
        items = network.preprocessing.prepare(seen)
        training = train(network, items, seen_labels, spec, device=device, hooks=hooks, group=group)
        reporter.report(Phase.EVALUATING)
        embeddings, trained, served = _measured(network, unseen, unseen_labels, serving, device)
    quality = Evaluation(trained, untrained, raw, served)
    return Fit(network, training, quality, tuple(evaluator.contradicted), devices, embeddings)


def _measured(
    network: Network,
    unseen: Inputs,
    labels: Strings,
    serving: Callable[[Inputs], Floats | None],
    device: torch.device,
) -> tuple[Floats, Assessment, Assessment | None]:
    """Embeddings of the held-out items, their assessment, and that of the model that serves."""
    embeddings = embed(network, unseen, device=device)
    trained = assess(embeddings, labels)
    now = serving(unseen)
    return embeddings, trained, None if now is None else assess(now, labels)


def _baselines(
    network: Network, unseen: Inputs, labels: Strings, device: torch.device
) -> tuple[Assessment, Assessment]:
    """Of raw inputs, and of the untrained network; raises Diverged when that gives no numbers."""
    raw, embeddings = assess(flatten_raw(unseen), labels), embed(network, unseen, device=device)
    if not np.isfinite(embeddings).all():
        raise Diverged(
            "the untrained encoder gives embeddings that are not finite: correct its"
            " encoder.entrypoint, or the weights of its encoder.base",
            "LossNotFinite",
        )
    return raw, assess(embeddings, labels)
