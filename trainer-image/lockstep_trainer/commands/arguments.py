"""The command line of `lockstep-train`: its verbs, their options and their help."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lockstep_core.protocol.training.encoder import Overlong, Pooling
from lockstep_core.protocol.training.export import Weights

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

EXPORT = """\
Publish weights that exist as a model artifact, with no training: a folder of a BERT encoder as
Hugging Face and sentence-transformers publish it, or the weights of an artifact again.

The artifact can serve at once (`spec.artifact` of an EmbeddingModel) and can be the base that a
Transformer starts from (`training.encoder.base`). Prints its digests as JSON.

  lockstep-train export --store file:///artifacts --folder all-MiniLM-L6-v2
  lockstep-train export --store file:///artifacts --folder all-MiniLM-L6-v2 --weights Float16
  lockstep-train export --store file:///artifacts --artifact sha256:... --int8 0.95 --data set.json

--weights Float16 is the way to a small artifact: half the bytes, and nearly the same embeddings
(least cosine .99, else nothing is published). --int8 is also faster, and less exact. `set.json`
names a data set as `training.data` does; its held-out items measure how many of the ten nearest
neighbours stay. A smaller model is another space than its original.

Every module and key of a folder is honoured, or refused by its name with exit code 3;
docs/encoders.md lists them.
"""

EVALUATE = """\
Measure a model artifact, by the graph that serves, on the held-out items of a data set, beside raw
inputs. Prints JSON.

  lockstep-train evaluate --store file:///artifacts --artifact sha256:... --data set.json

`set.json` names the data set as `training.data` does:
  {"uri": "file:///artifacts/items.npz", "format": "NPZ", "split": {"evalFraction": "0.3"}}
"""


def parser() -> argparse.ArgumentParser:
    """Of the whole command line; `command` of what it parses is the verb."""
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
    _add_export_and_evaluate(commands)
    return parser


Commands = Any
"""argparse gives its sub-commands no public type."""


def _add_export_and_evaluate(commands: Commands) -> None:
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
    folder.add_argument("--prompt", metavar="NAME", help='put before all texts; "" for none')
    folder.add_argument("--overlong", type=Overlong, choices=list(Overlong), help="Refuse")
    one.add_argument("--int8", metavar="OVERLAP", help="quantise, if so many neighbours stay")
    one.add_argument(
        "--weights", type=Weights, choices=list(Weights), help="as they are stored; Float32"
    )
    one.add_argument(
        "--data", type=Path, metavar="FILE", help="held-out items, for --int8 and --weights"
    )
    two.add_argument("--artifact", required=True, metavar="DIGEST")
    two.add_argument("--data", type=Path, required=True, metavar="FILE")
