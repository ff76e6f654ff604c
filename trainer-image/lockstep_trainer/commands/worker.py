"""A process of a training that is not process 0: no progress, no checkpoint, no artifact.

It succeeds once process 0 has published; otherwise its result is why it could not go on.
"""

from __future__ import annotations

import logging
import signal
import tempfile
from pathlib import Path

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.jobs import (
    JobFailure,
    Stopping,
    as_failure,
    earlier_result,
    emit,
    failed,
    load_config,
    log_to_stderr,
)
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Program
from lockstep_trainer.distributed.ranks import Rank

log = logging.getLogger(__name__)


def run_worker(rank: Rank, config_file: Path | None) -> int:
    """Its exit code. A success leaves no result: process 0 reports it."""
    log_to_stderr()
    stopping = Stopping()
    stopping.listen()
    # A request for a checkpoint, sent to all processes of a pod, is for process 0.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        config = load_config(TrainConfig, config_file)
        store = ArtifactStore.open(config.artifacts)
        # A pod that comes back after process 0 has published would wait for nobody.
        if earlier_result(Program.TRAIN, config, store, log.warning) is None:
            stopping.check()
            _assist(rank, config, store, stopping)
    except Exception as error:
        failure = as_failure(error)
        log.error("process %d: %s: %s", rank.rank, failure.reason, failure.message)
        return emit(failed(Program.TRAIN, _own(failure, rank)))
    return int(ExitCode.OK)


def _own(failure: JobFailure, rank: Rank) -> JobFailure:
    message = f"process {rank.rank} of {rank.size}: {failure.message}"
    return JobFailure(failure.code, failure.reason, message)


def _assist(rank: Rank, config: TrainConfig, store: ArtifactStore, stopping: Stopping) -> None:
    # torch takes seconds to import: signals are heard before.
    from lockstep_trainer.commands.news import check_news
    from lockstep_trainer.commands.run import fresh_network
    from lockstep_trainer.distributed.joining import join, limit_threads
    from lockstep_trainer.runtime.devices import choose_device
    from lockstep_trainer.training import assist
    from lockstep_trainer.training.failures import as_job_failures
    from lockstep_trainer.validation import prepare

    limit_threads(rank)
    spec = config.training
    with tempfile.TemporaryDirectory(prefix="lockstep-train-") as folder:
        data = prepare(spec, store, Path(folder), config.artifacts)
        check_news(config, data)
        network = fresh_network(spec, data)
        group = join(rank, config, data)
        device = choose_device()
        rows = data.train_rows
        items = network.preprocessing.prepare(data.dataset.inputs[rows])
        with as_job_failures(spec, device):
            assist(
                network,
                items,
                data.dataset.labels[rows],
                spec,
                device=device,
                group=group,
                stop=stopping.is_set,
                warn=log.warning,
            )
        group.close()
