"""`export` and `evaluate`: for people, not for Jobs; what they answer is JSON or one line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from pydantic import ValidationError

from lockstep_core.jobs import JobFailure, as_failure
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.training import Weights
from lockstep_trainer.commands.data import bad_config, first_error


def run_command(options: argparse.Namespace) -> int:
    """Runs `export` or `evaluate`; prints its JSON, or why not; returns the exit code."""
    work: Callable[[argparse.Namespace], dict[str, object]] = (
        _export if options.command == "export" else _evaluate
    )
    try:
        print(json.dumps(work(options), indent=2, ensure_ascii=False))
    except Exception as error:
        failure = _failure(error)
        print(f"{failure.reason}: {failure.message}", file=sys.stderr)
        return failure.code
    return ExitCode.OK


def _export(options: argparse.Namespace) -> dict[str, object]:
    # torch takes seconds to import, and help should not.
    from lockstep_trainer.commands.export import ExportOptions, publish

    given = ExportOptions(
        store=options.store,
        folder=options.folder,
        artifact=options.artifact,
        pooling=options.pooling,
        max_length=options.max_length,
        prompt=options.prompt,
        overlong=options.overlong,
        int8=options.int8,
        weights=options.weights,
        data=options.data,
    )
    of_folder = (given.pooling, given.max_length, given.overlong, given.prompt)
    if given.artifact is not None and any(each is not None for each in of_folder):
        raise bad_config(
            "--pooling, --max-length, --overlong and --prompt are for --folder: an artifact says"
            " them"
        )
    if given.int8 is not None and given.data is None:
        raise bad_config(
            "--int8 and --data go together: the items of the set measure what int8 costs"
        )
    if given.data is not None and given.int8 is None and given.weights is not Weights.FLOAT16:
        raise bad_config(
            "--data is for --int8 and for --weights Float16: its items measure what they cost"
        )
    return publish(given)


def _evaluate(options: argparse.Namespace) -> dict[str, object]:
    from lockstep_trainer.commands.evaluate import EvaluateOptions, evaluate

    return evaluate(EvaluateOptions(options.store, options.artifact, options.data))


def _failure(error: Exception) -> JobFailure:
    if isinstance(error, ValidationError):
        return bad_config(first_error(error))
    return as_failure(error)
