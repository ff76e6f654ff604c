"""The commands that are for people, not for Jobs: `export` and `evaluate`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lockstep_core.jobs import JobFailure, as_failure
from lockstep_core.protocol.datasets import LabelledDataset
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.training.encoder import Overlong, Pooling

EXPORT = """\
Publish weights that exist as a model artifact, with no training: a folder of a BERT encoder as
Hugging Face and sentence-transformers publish it, or the weights of an artifact again.

The artifact can serve at once (`spec.artifact` of an EmbeddingModel) and can be the base that a
Transformer starts from (`training.encoder.base`). Prints its digests as JSON.

  lockstep-train export --store file:///artifacts --folder all-MiniLM-L6-v2
  lockstep-train export --store file:///artifacts --artifact sha256:... --int8 0.95 --data set.json

`set.json` names a data set as `training.data` does; with --int8, its held-out items measure how
many of the ten nearest neighbours stay. A quantised model is another space than its original.
"""

EVALUATE = """\
Measure a model artifact, by the graph that serves, on the held-out items of a data set, beside raw
inputs. Prints JSON.

  lockstep-train evaluate --store file:///artifacts --artifact sha256:... --data set.json

`set.json` names the data set as `training.data` does:
  {"uri": "file:///artifacts/items.npz", "format": "NPZ", "split": {"evalFraction": "0.3"}}
"""

Commands = Any
"""argparse gives its sub-commands no public type."""


def add_commands(commands: Commands) -> None:
    """Adds `export` and `evaluate` to the sub-commands of a parser."""
    raw = argparse.RawDescriptionHelpFormatter
    one = commands.add_parser(
        "export",
        help="publish weights that exist; train nothing",
        description=EXPORT,
        formatter_class=raw,
    )
    two = commands.add_parser(
        "evaluate",
        help="measure a published artifact",
        description=EVALUATE,
        formatter_class=raw,
    )
    for command in (one, two):
        command.add_argument("--store", required=True, metavar="URI", help="root of the store")
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--folder", type=Path, help="published weights, tokenizer and config.json")
    source.add_argument("--artifact", metavar="DIGEST", help="an artifact of the store")
    folder = one.add_argument_group("with --folder, where it does not say so itself")
    folder.add_argument("--pooling", type=Pooling, choices=list(Pooling))
    folder.add_argument("--max-length", type=int, metavar="TOKENS")
    folder.add_argument("--overlong", type=Overlong, choices=list(Overlong), help="Refuse")
    one.add_argument("--int8", metavar="OVERLAP", help="quantise, if so many neighbours stay")
    one.add_argument("--data", type=Path, metavar="FILE", help="held-out items, for --int8")
    two.add_argument("--artifact", required=True, metavar="DIGEST")
    two.add_argument("--data", type=Path, required=True, metavar="FILE")


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


def read_data(file: Path) -> LabelledDataset:
    """Raises JobFailure (BAD_CONFIG) that names the file and the field."""
    try:
        return LabelledDataset.model_validate_json(file.read_bytes())
    except OSError as error:
        raise _bad(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise _bad(f"{file}: {_first(error)}") from error


def _export(options: argparse.Namespace) -> dict[str, object]:
    # torch takes seconds to import, and help should not.
    from lockstep_trainer.commands.export import ExportOptions, publish

    given = ExportOptions(
        store=options.store,
        folder=options.folder,
        artifact=options.artifact,
        pooling=options.pooling,
        max_length=options.max_length,
        overlong=options.overlong,
        int8=options.int8,
        data=options.data,
    )
    if given.artifact is not None and (given.pooling or given.max_length or given.overlong):
        raise _bad("--pooling, --max-length and --overlong are for --folder: an artifact says them")
    if (given.int8 is None) is not (given.data is None):
        raise _bad("--int8 and --data go together: the items of the set measure what int8 costs")
    return publish(given)


def _evaluate(options: argparse.Namespace) -> dict[str, object]:
    from lockstep_trainer.commands.evaluate import EvaluateOptions, evaluate

    return evaluate(EvaluateOptions(options.store, options.artifact, options.data))


def _failure(error: Exception) -> JobFailure:
    if isinstance(error, ValidationError):
        return _bad(_first(error))
    return as_failure(error)


def _first(error: ValidationError) -> str:
    wrong = error.errors(include_url=False)[0]
    where = ".".join(map(str, wrong["loc"]))
    return f"{where}: {wrong['msg']}" if where else wrong["msg"]


def _bad(message: str) -> JobFailure:
    return JobFailure(ExitCode.BAD_CONFIG, "BadConfig", message)
