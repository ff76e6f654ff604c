"""`lockstep-train`: the command line of the trainer.

torch is imported only once a run begins: help and `validate` answer at once, and a SIGTERM during
the seconds that the import takes already finds its handler.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.jobs import (
    JobFailure,
    Reporter,
    Stopping,
    emit,
    failed,
    load_config,
    log_to_stderr,
    run_job,
)
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.result import Program, TrainingFacts
from lockstep_trainer.commands.arguments import parser
from lockstep_trainer.commands.local import run_command
from lockstep_trainer.distributed.ranks import Rank, WorkerGroup, rank_of, worker_group_of
from lockstep_trainer.runtime.signals import CheckpointRequests, end_at_once


def main(arguments: list[str] | None = None) -> int:
    """Parses `arguments` (None: those of the process) and returns the exit code."""
    options = parser().parse_args(arguments)
    if options.command == "validate":
        end_at_once()
        return _validate(options.config)
    if options.command in ("export", "evaluate"):
        return run_command(options)
    return _run(options.config, start_anew=options.start_anew)


def _run(config_file: Path | None, *, start_anew: bool) -> int:
    """One process, or the parent of several; it may be PID 1 of its container, so it handles
    signals from the start on."""
    try:
        rank = rank_of(os.environ)
        workers = None if rank is not None else _workers(config_file)
    except JobFailure as failure:
        log_to_stderr()
        return emit(failed(Program.TRAIN, failure))
    if workers is not None:
        from lockstep_trainer.distributed.supervisor import supervise

        log_to_stderr()
        return supervise([sys.executable, "-m", "lockstep_trainer", *sys.argv[1:]], workers)
    if rank is not None and not rank.leads:
        from lockstep_trainer.commands.worker import run_worker

        return run_worker(rank, config_file)
    return _lead(rank or Rank(), config_file, start_anew=start_anew)


def _workers(config_file: Path | None) -> WorkerGroup | None:
    """The workers to start; a wrong config is reported by the one process that then runs."""
    try:
        config = load_config(TrainConfig, config_file)
    except JobFailure:
        return None
    return worker_group_of(config.training.distributed, os.environ)


def _lead(rank: Rank, config_file: Path | None, *, start_anew: bool) -> int:
    requests = CheckpointRequests()
    requests.listen()
    afterwards: list[Callable[[], None]] = []

    def work(
        config: TrainConfig, store: ArtifactStore, reporter: Reporter, stopping: Stopping
    ) -> TrainingFacts:
        from lockstep_trainer.commands.run import RunOptions, train_release

        options = RunOptions(requests, start_anew, rank, afterwards.append)
        return train_release(config, store, reporter, stopping, options)

    code = run_job(
        program=Program.TRAIN, config_type=TrainConfig, work=work, config_file=config_file
    )
    # The result is kept: a pod that is lost from here on trains nothing again.
    for clear in afterwards:
        clear()
    return code


def _validate(config_file: Path | None) -> int:
    """Prints what the data set holds (exit 0), or everything that is wrong with it."""
    from lockstep_trainer.commands.validate import validate

    return validate(config_file)


if __name__ == "__main__":
    sys.exit(main())
