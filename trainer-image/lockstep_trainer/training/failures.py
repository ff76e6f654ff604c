"""How what ends a training becomes the failure of its Job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lockstep_core.jobs import JobFailure, preempted
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.training import TrainingSpec
from lockstep_trainer.distributed.process_group import MemberLost
from lockstep_trainer.training.checkpoints import Keeper
from lockstep_trainer.training.errors import Diverged, Refused, Stopped, TakenOver
from lockstep_trainer.training.gradient_cache import CannotChunk


@contextmanager
def as_job_failures(
    spec: TrainingSpec, device: torch.device, keeper: Keeper | None = None
) -> Iterator[None]:
    """Raises JobFailure in place of what the training of `spec` on `device` raises.

    `keeper`, of process 0 alone, forgets the checkpoints of a run that diverged.
    """
    try:
        yield
    except (Stopped, Diverged, Refused, TakenOver) as error:
        raise _ended(error, keeper) from error
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(spec, device, error) from error
    except (CannotChunk, MemberLost) as error:
        raise _not_shared(error) from error


def _ended(error: Stopped | Diverged | Refused | TakenOver, keeper: Keeper | None) -> JobFailure:
    if isinstance(error, Stopped):
        kept = None if error.kept is None else f"its checkpoint of step {error.kept}"
        return preempted(str(error), goes_on=kept)
    if isinstance(error, TakenOver):
        return JobFailure(ExitCode.PREEMPTED, "TakenOver", str(error))
    if isinstance(error, Refused):
        return JobFailure(ExitCode.DIGEST_MISMATCH, "CheckpointRefused", str(error))
    # Nothing is worth resuming: the same steps would end the same way.
    if keeper is not None:
        keeper.discard()
    return JobFailure(ExitCode.DIVERGED, error.reason, str(error))


def _not_shared(error: CannotChunk | MemberLost) -> JobFailure:
    """A batch that cannot be cut, or a process that is gone: then all begin again together."""
    if isinstance(error, CannotChunk):
        return JobFailure(ExitCode.BAD_CONFIG, "EncoderDoesNotFit", f"training.{error}")
    message = f"{error}. All processes start again, from the newest checkpoint"
    return JobFailure(ExitCode.PREEMPTED, "MemberLost", message)


def _out_of_memory(spec: TrainingSpec, device: torch.device, error: Exception) -> JobFailure:
    return JobFailure(
        ExitCode.OUT_OF_MEMORY,
        "OutOfMemory",
        f"{device} ran out of memory ({str(error).splitlines()[0]}): lower batch.classes (now"
        f" {spec.batch.classes}), batch.perClass (now {spec.batch.per_class}) or encoder.width"
        f" (now {spec.encoder.width})",
    )
