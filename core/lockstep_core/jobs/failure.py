"""From an exception to an exit code: one table, so that every program ends the same way."""

from __future__ import annotations

from lockstep_core.artifacts import ArtifactDamaged, ArtifactError, StoreError, StoreUnsuitable
from lockstep_core.datasets import DatasetError
from lockstep_core.encoding import EncodingError, SelfCheckError
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Damage

# Of the name of a file in a result, which has to fit into a termination message.
FILE_BYTES = 256


class JobFailure(Exception):
    """Work that cannot end well, with the exit code, a CamelCase reason and what to do.

    `damage` names the artifact that was refused, where that is why.
    """

    def __init__(
        self, code: ExitCode, reason: str, message: str, damage: Damage | None = None
    ) -> None:
        super().__init__(code, reason, message)
        self.code = code
        self.reason = reason
        self.message = message
        self.damage = damage

    def __str__(self) -> str:
        return self.message


_TABLE: tuple[tuple[type[Exception], ExitCode, str], ...] = (
    (DatasetError, ExitCode.BAD_DATASET, "BadDataset"),
    # A Job encodes the items of a data set: what the encoder refuses, the set has to change.
    (EncodingError, ExitCode.BAD_DATASET, "NotEncodable"),
    (ArtifactError, ExitCode.DIGEST_MISMATCH, "ArtifactRefused"),
    (SelfCheckError, ExitCode.SELF_CHECK_FAILED, "SelfCheckFailed"),
    (StoreUnsuitable, ExitCode.BAD_CONFIG, "StoreUnsuitable"),
    (StoreError, ExitCode.STORE_UNAVAILABLE, "StoreUnavailable"),
)


def damage_of(error: ArtifactDamaged, message_bytes: int = 0) -> Damage:
    """The damage as it is reported, with so many bytes of its message at most."""
    file = None if error.file is None else _cut(error.file, FILE_BYTES)
    return Damage(artifact=error.artifact, file=file, message=_cut(str(error), message_bytes))


def _cut(text: str, limit: int) -> str:
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def as_failure(error: Exception) -> JobFailure:
    """What `error` means. Anything that is not in the table is a defect: Internal, retried."""
    if isinstance(error, JobFailure):
        return error
    for kind, code, reason in _TABLE:
        if isinstance(error, kind):
            damage = damage_of(error) if isinstance(error, ArtifactDamaged) else None
            return JobFailure(code, reason, str(error), damage)
    if isinstance(error, MemoryError):
        fix = "raise the memory limit of the pod, or use a smaller batch, model or data set"
        return JobFailure(ExitCode.OUT_OF_MEMORY, "OutOfMemory", f"out of memory ({error}): {fix}")
    text = f"{type(error).__name__}: {error}. The log holds the traceback."
    return JobFailure(ExitCode.INTERNAL, "Internal", text)
