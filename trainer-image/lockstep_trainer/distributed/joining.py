"""From a rank to a process group: the device, the threads, and whether all processes have the same
config and data."""

from __future__ import annotations

import hashlib
import json
import os

import torch

from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.threads import cpu_threads
from lockstep_trainer.distributed.process_group import MemberLost, Order, ProcessGroup
from lockstep_trainer.distributed.ranks import LOOPBACK, Rank
from lockstep_trainer.runtime.devices import choose_device
from lockstep_trainer.validation import TrainingData


def limit_threads(rank: Rank) -> None:
    """This process' share of what the container may use."""
    # torch's own choice are the physical cores, and it knows nothing of quotas.
    share = max(1, cpu_threads() // rank.local_size)
    torch.set_num_threads(min(torch.get_num_threads(), share))


def join(rank: Rank, config: TrainConfig, data: TrainingData) -> ProcessGroup:
    """Waits for the others, and makes sure that all have the same config and data.

    Raises JobFailure: they do not fit each other or the machine, or not all came.
    """
    if rank.size == 1:
        return ProcessGroup()
    _check(rank, config)
    device = choose_device()
    try:
        group = ProcessGroup.connect(
            rank,
            device,
            address=os.environ.get("MASTER_ADDR", LOOPBACK),
            port=int(os.environ.get("MASTER_PORT", "0")),
        )
        _agree(group, _question(config, data))
    except MemberLost as error:
        message = f"{error}. This process starts again and waits anew"
        raise JobFailure(ExitCode.PREEMPTED, "MemberLost", message) from error
    return group


def dismiss(group: ProcessGroup) -> None:
    """Process 0: the result is kept, so the others may end well."""
    if group.size == 1:
        return
    try:
        group.announce(Order.DONE)
        group.close()
    except MemberLost:
        # It will find the result in the store when it starts again.
        return


def _check(rank: Rank, config: TrainConfig) -> None:
    batch = config.training.batch
    if rank.size > batch.classes * batch.per_class:
        message = (
            f"{rank.size} processes train, but a batch has only"
            f" {batch.classes * batch.per_class} items: raise training.batch.classes, or start"
            " fewer processes"
        )
        raise JobFailure(ExitCode.BAD_CONFIG, "TooManyProcesses", message)
    count = torch.accelerator.device_count()
    if count and count < rank.local_size:
        message = (
            f"{rank.local_size} processes of this pod need an accelerator each, but it has"
            f" {count}: set training.distributed.processesPerPod to {count}, or give the pod more"
            " in training.template.resources.limits"
        )
        raise JobFailure(ExitCode.BAD_CONFIG, "TooFewDevices", message)
    if count:
        torch.accelerator.set_device_index(rank.local_rank)


def _question(config: TrainConfig, data: TrainingData) -> str:
    """What is trained, on what; the same text for the same work."""
    training = config.training.model_dump(mode="json", by_alias=True, exclude={"distributed"})
    whole = json.dumps([config.release_uid, training], sort_keys=True)
    return f"config {hashlib.sha256(whole.encode()).hexdigest()[:12]}, data {data.dataset.digest}"


def _agree(group: ProcessGroup, mine: str) -> None:
    """Raises JobFailure where a process is about to train something else than process 0."""
    theirs = group.broadcast(mine.encode() if group.leads else None).decode()
    if theirs != mine:
        message = (
            f"process 0 trains {theirs}, but process {group.rank} would train {mine}: give all"
            " processes one config, and pin the data set with training.data.digest"
        )
        raise JobFailure(ExitCode.DIGEST_MISMATCH, "ProcessesDiffer", message)
