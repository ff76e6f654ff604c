"""Why a server cannot start: exit code, reason and a message, in the pod's termination message."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lockstep_core.artifacts import ArtifactError, StoreError
from lockstep_core.encoding import EncodingError, SelfCheckError
from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.environment import (
    CONFIG_VARIABLE,
    TERMINATION_PATH,
    TERMINATION_PATH_VARIABLE,
)
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Program, Result

logger = logging.getLogger(__name__)
C = TypeVar("C", bound=Contract)


class StartError(Exception):
    """The server must not serve. The message says what, and what to do about it."""

    def __init__(self, exit_code: ExitCode, reason: str, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.reason = reason
        self.message = message


def read_config(config_type: type[C], path: Path | None) -> C:
    """The program's config, from `path` or `LOCKSTEP_CONFIG`; raises `StartError` (BAD_CONFIG)."""
    source = str(path) if path else CONFIG_VARIABLE
    try:
        text = path.read_text() if path else os.environ.get(CONFIG_VARIABLE, "")
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(
            ExitCode.BAD_CONFIG, "BadConfig", f"cannot read the config {source}: {error}"
        ) from error
    if not text.strip():
        raise StartError(
            ExitCode.BAD_CONFIG,
            "BadConfig",
            f"there is no config: set {CONFIG_VARIABLE} to JSON, or pass --config FILE",
        )
    try:
        return config_type.model_validate_json(text)
    except ValidationError as error:
        raise StartError(
            ExitCode.BAD_CONFIG, "BadConfig", f"{source} is wrong: {describe(error)}"
        ) from error


def describe(error: ValidationError) -> str:
    """Every wrong field with its complaint, in one line."""
    parts = []
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        field = ".".join(str(part) for part in each["loc"]) or "the whole"
        parts.append(f"`{field}`: {each['msg']}")
    return "; ".join(parts)


def start_error(error: BaseException) -> StartError:
    """The reason of any exception that ended a start."""
    if isinstance(error, StartError):
        return error
    for kind, exit_code, reason in (
        (ArtifactError, ExitCode.DIGEST_MISMATCH, "DigestMismatch"),
        (StoreError, ExitCode.STORE_UNAVAILABLE, "StoreUnavailable"),
        (SelfCheckError, ExitCode.SELF_CHECK_FAILED, "SelfCheckFailed"),
        (EncodingError, ExitCode.SELF_CHECK_FAILED, "SelfCheckFailed"),
    ):
        if isinstance(error, kind):
            return StartError(exit_code, reason, str(error))
    return StartError(ExitCode.INTERNAL, "Internal", f"{type(error).__name__}: {error}")


def report(program: Program, error: StartError) -> None:
    """Writes the Result where the kubelet finds it. Never raises: the exit code says it, too."""
    result = Result(
        program=program,
        exit_code=error.exit_code,
        reason=error.reason,
        message=error.message[:1500],
    )
    path = Path(os.environ.get(TERMINATION_PATH_VARIABLE, TERMINATION_PATH))
    try:
        path.write_text(result.to_json())
    except (OSError, ValueError) as cause:
        logger.warning("no termination message at %s: %s", path, cause)
