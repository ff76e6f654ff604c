"""The tracker that a config asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_trainer.tracking.mlflow import MLflow
from lockstep_trainer.tracking.tracker import Ending, Tracker
from lockstep_trainer.tracking.wandb import Wandb


def open_tracker(config: TrainConfig, warn: Callable[[str], None]) -> Tracker:
    """Begins in the background; one that passes on nothing where none is asked for."""
    asked = config.training.tracking
    about: dict[str, Any] = {
        "release": config.release,
        "uid": config.release_uid,
        "settings": config.training.to_wire(),
    }
    if asked is not None and asked.mlflow is not None:
        return Tracker(MLflow(asked.mlflow, **about), warn)
    if asked is not None and asked.wandb is not None:
        return Tracker(Wandb(asked.wandb, **about), warn)
    return Tracker(None, warn)


STOP_SECONDS = 5.0
"""When something went wrong already, or a pod has to be gone soon."""


@contextmanager
def tracked(config: TrainConfig, warn: Callable[[str], None]) -> Iterator[Tracker]:
    """The tracker that `config` asks for; what ends the context early is reported as its ending."""
    tracker = open_tracker(config, warn)
    try:
        yield tracker
    except BaseException as error:
        preempted = isinstance(error, JobFailure) and error.code is ExitCode.PREEMPTED
        tracker.close(Ending.STOPPED if preempted else Ending.FAILED, seconds=STOP_SECONDS)
        raise
    tracker.close(Ending.FINISHED)
