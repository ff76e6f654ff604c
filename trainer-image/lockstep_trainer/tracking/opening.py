"""The tracker that a config asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_trainer.tracking.mlflow import MLflow
from lockstep_trainer.tracking.tracker import Ending, Tracker


def open_tracker(config: TrainConfig, warn: Callable[[str], None]) -> Tracker:
    """Begins in the background; one that passes on nothing where none is asked for."""
    asked = config.training.tracking
    if asked is None or asked.mlflow is None:
        return Tracker(None, warn)
    backend = MLflow(
        asked.mlflow,
        release=config.release,
        uid=config.release_uid,
        settings=config.training.to_wire(),
    )
    return Tracker(backend, warn)


STOP_SECONDS = 5.0
"""When something went wrong already, or a pod has to be gone soon."""


@contextmanager
def tracked(config: TrainConfig, warn: Callable[[str], None]) -> Iterator[Tracker]:
    """The tracker that `config` asks for; what ends the context early is told as its ending."""
    tracker = open_tracker(config, warn)
    try:
        yield tracker
    except BaseException as error:
        preempted = isinstance(error, JobFailure) and error.code is ExitCode.PREEMPTED
        tracker.close(Ending.STOPPED if preempted else Ending.FAILED, seconds=STOP_SECONDS)
        raise
    tracker.close(Ending.FINISHED)
