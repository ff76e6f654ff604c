"""How a Job tells its end: the termination message, and one JSON line on standard output."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from lockstep_core.jobs.failure import JobFailure
from lockstep_core.protocol.environment import TERMINATION_PATH, TERMINATION_PATH_VARIABLE
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import (
    BuildFacts,
    CheckFacts,
    EvaluationFacts,
    Program,
    ReplayFacts,
    Result,
    TrainingFacts,
)

log = logging.getLogger(__name__)

Facts = TrainingFacts | EvaluationFacts | BuildFacts | ReplayFacts | CheckFacts
MESSAGE_CHARACTERS = 1500


def success(program: Program, facts: Facts) -> Result:
    """Raises JobFailure when the facts do not fit into a termination message: the same config
    would give as many again, so no other attempt is worth it."""
    result = Result(
        program=program,
        exit_code=ExitCode.OK,
        reason="Succeeded",
        training=facts if isinstance(facts, TrainingFacts) else None,
        evaluation=facts if isinstance(facts, EvaluationFacts) else None,
        build=facts if isinstance(facts, BuildFacts) else None,
        replay=facts if isinstance(facts, ReplayFacts) else None,
        check=facts if isinstance(facts, CheckFacts) else None,
    )
    try:
        result.to_json()
    except ValueError as error:
        message = f"{error}: ask for fewer facts at once (`recallAt` of an evaluation)"
        raise JobFailure(ExitCode.BAD_CONFIG, "ResultTooLarge", message) from error
    return result


def failed(program: Program, failure: JobFailure) -> Result:
    """The message is cut to what fits, however many bytes its characters have."""
    text = failure.message.encode("utf-8", "replace").decode()
    length = MESSAGE_CHARACTERS
    while True:
        result = Result(
            program=program,
            exit_code=failure.code,
            reason=failure.reason,
            message=text if len(text) <= length else text[: length - 1] + "…",
            damage=failure.damage,
        )
        try:
            result.to_json()
        except ValueError:
            length //= 2
        else:
            return result


def emit(result: Result) -> int:
    """Writes the result where the kubelet reads it, prints it, and returns the exit code."""
    text = result.to_json()
    write_termination_message(result)
    print(text, flush=True)
    return int(result.exit_code)


def write_termination_message(result: Result) -> None:
    """Where the kubelet reads it; nothing outside of a pod."""
    chosen = os.environ.get(TERMINATION_PATH_VARIABLE)
    path = Path(chosen or TERMINATION_PATH)
    # The kubelet mounts the file. Outside of a pod there is none, and none is made in /dev.
    if not chosen and not path.exists():
        return
    try:
        path.write_text(result.to_json(), encoding="utf-8")
    except OSError as error:
        log.warning("the termination message could not be written to %s: %s", path, error)
