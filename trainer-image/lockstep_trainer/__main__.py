"""`lockstep-train`: the command line of the trainer.

torch is imported only once a run begins: help and `validate` answer at once, and a SIGTERM during
the seconds that the import takes already finds its handler.
"""

from __future__ import annotations

import argparse
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
from lockstep_trainer.distributed.ranks import Crew, Place, crew_of, place_of
from lockstep_trainer.commands.local import add_commands, run_command
from lockstep_trainer.runtime.signals import Wishes, end_at_once

DESCRIPTION = """\
Trains an encoder with mined triplets and publishes it as a content-addressed artifact.

The config is JSON: a file (--config), or the environment variable LOCKSTEP_CONFIG. The least that
trains (all other fields have defaults):

  {
    "release": "products-r1",
    "releaseUID": "local-1",
    "artifacts": {"uri": "file:///tmp/lockstep"},
    "training": {
      "data": {"uri": "file:///tmp/lockstep/items.npz", "format": "NPZ"},
      "encoder": {"kind": "CNN", "dimension": 64},
      "budget": {"maxSteps": 400}
    }
  }

`items.npz` holds `inputs` (uint8 images [N,H,W] or [N,H,W,C], float32 vectors [N,D], or text [N]),
`labels` (text [N]) and optionally `ids`. Parquet, JSONLines and ImageFolder are read as well. A
tenth of the classes is held out (data.split): recall is measured on classes that the encoder never
saw, beside raw inputs and the untrained encoder.
"""

VALIDATE = """\
Checks config and data set, all of it at once, in seconds: no torch, no GPU, nothing is written.

Standard output is one JSON report (schema lockstep.dev/validation/v1: `errors`, `warnings`, both
sides of the split, the recall of raw items); standard error tells the same in lines. Each finding
has a count, up to five examples and the fix.

  format      a file (or folder) whose names default to         items
  NPZ         arrays inputs, labels, ids                        images, vectors, texts
  Parquet     columns input, label, id                          encoded images, vectors, texts
  JSONLines   {"input": ..., "label": ...} on each line         vectors, texts
  ImageFolder <set>/<class>/<image>.png                         images

Other names: "columns": {"input": "title", "label": "product", "group": "shop"} beside "uri".
Split: "split": {"by": "Class"} holds out classes, "Group" whole groups, "Hash" items by content.
"""

VALIDATE_END = """\
exit codes
   0  the set can be trained on; read the warnings all the same
   2  the config is wrong, or its encoder cannot read such items
   3  the data set is wrong        6  it is missing, or not the one of data.digest
  74  the store is out of reach   70  a defect of this program

examples
  lockstep-train validate --config train.json
  lockstep-train validate --config train.json 2>/dev/null | jq '.errors[].fix'
"""

EPILOG = """\
exit codes
   0  done; the result, one line of JSON, is on standard output
   2  the config is wrong           3  the data set is wrong        5  loss or embeddings diverged
   6  bytes differ from a digest    7  the ONNX export differs      8  out of memory
  70  a defect                     74  the store is out of reach   75  stopped; goes on by itself

examples
  lockstep-train validate --config train.json      check the data, in seconds and without training
  lockstep-train run --config train.json           train; a bar on a terminal, JSON lines otherwise
  curl localhost:9100/progress                     what a run is doing (also /metrics)

A run that already succeeded for the same release UID and training gives its result again. One that
was lost or stopped goes on from its newest checkpoint, which is kept below `artifacts.uri` until
the model is published (training.checkpoint says how often); SIGUSR1 saves one at once.

training.distributed starts several processes, of one pod or of many, that share each batch; a
worker of torchrun (RANK, WORLD_SIZE, MASTER_ADDR) and a node of a TrainJob (PET_*) are understood.
"""


def main(arguments: list[str] | None = None) -> int:
    """Parses `arguments` (None: those of the process) and returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "validate":
        end_at_once()
        return _validate(options.config)
    if options.command in ("export", "evaluate"):
        return run_command(options)
    return _run(options.config, start_anew=options.start_anew)


def _run(config_file: Path | None, *, start_anew: bool) -> int:
    """One process, or the parent of several; it may be PID 1 of its container, so it hears signals
    from the start on."""
    try:
        place = place_of(os.environ)
        crew = None if place is not None else _crew(config_file)
    except JobFailure as failure:
        log_to_stderr()
        return emit(failed(Program.TRAIN, failure))
    if crew is not None:
        from lockstep_trainer.distributed.supervisor import supervise

        log_to_stderr()
        return supervise([sys.executable, "-m", "lockstep_trainer", *sys.argv[1:]], crew)
    if place is not None and not place.leads:
        from lockstep_trainer.commands.worker import run_member

        return run_member(place, config_file)
    return _lead(place or Place(), config_file, start_anew=start_anew)


def _crew(config_file: Path | None) -> Crew | None:
    """The workers to start; a config that is wrong is told by the one process that then runs."""
    try:
        config = load_config(TrainConfig, config_file)
    except JobFailure:
        return None
    return crew_of(config.training.distributed, os.environ)


def _lead(place: Place, config_file: Path | None, *, start_anew: bool) -> int:
    wishes = Wishes()
    wishes.listen()
    afterwards: list[Callable[[], None]] = []

    def work(
        config: TrainConfig, store: ArtifactStore, reporter: Reporter, stopping: Stopping
    ) -> TrainingFacts:
        from lockstep_trainer.commands.run import Around, train_release

        around = Around(wishes, start_anew, place, afterwards.append)
        return train_release(config, store, reporter, stopping, around)

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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lockstep-train",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="{run,validate,export,evaluate}"
    )
    for name, text, more, end in (
        ("run", "train, evaluate, export and publish", "", None),
        ("validate", "check config and data set; train nothing", VALIDATE, VALIDATE_END),
    ):
        command = commands.add_parser(
            name,
            help=text,
            description=more or text,
            epilog=end,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument(
            "--config", type=Path, metavar="FILE", help="config as JSON (else LOCKSTEP_CONFIG)"
        )
        if name == "run":
            command.add_argument(
                "--start-anew",
                action="store_true",
                help="remove the checkpoints of this release UID first",
            )
    add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
