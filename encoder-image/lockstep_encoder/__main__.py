"""Command line of the encoder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep_core.protocol.environment import CONFIG_VARIABLE, SERVING_PORT
from lockstep_core.protocol.logs import log_to_stderr
from lockstep_core.serving.options import add_server_options, server_options
from lockstep_core.threads import add_threads_option
from lockstep_encoder.checking import check
from lockstep_encoder.evaluate import evaluate
from lockstep_encoder.importing import import_model
from lockstep_encoder.inspecting import inspect
from lockstep_encoder.replay import replay
from lockstep_encoder.serve import ServeOptions, serve

SERVE_HELP = f"""\
Serve one model release: embeddings, and searches in exactly the indexes built from it.

The config (JSON) comes from {CONFIG_VARIABLE} or --config:
  {{"model": "glyphs", "release": "glyphs-r1", "artifacts": {{"uri": "file:///artifacts",
    "claimName": "any"}}, "artifactDigest": "sha256:...", "spaceID": "0123456789ab",
    "indexes": [{{"name": "glyphs", "url": "http://glyphs-r1-glyphs:8080",
                 "buildDigest": "sha256:...", "spaceID": "0123456789ab"}}]}}

It fetches the artifact by digest, verifies every file, checks the golden vectors, waits for each
index, compares an end-to-end search of the golden inputs with what the index was sealed with, and
only then is Ready.

  curl -s localhost:{SERVING_PORT}/readyz        what it still waits for
  curl -s localhost:{SERVING_PORT}/v1/embeddings -d '{{"input": [[0, 0.5]]}}'
  curl -s localhost:{SERVING_PORT}/v1/search -d '{{"input": "data:image/png;base64,...", "k": 3}}'

A request with the header `x-lockstep-expected-space` is answered in that space, or refused (409).
"""

SERVE_EXITS = """\
exit codes: 0 drained after SIGTERM; 2 bad config; 6 artifact corrupt or of another space;
9 golden vectors or golden searches differ; 70 internal; 74 store out of reach
"""

EVALUATE_HELP = f"""\
Measure a candidate (and the stable release, where there is one) on the same held-out items:
relevance recall@k per query, against raw inputs and against stable, paired; geometry.

Reports and judges nothing: bounds live in the EmbeddingModel. The result is the JSON in the
termination message, and is kept in the store: a pod that replaces a lost one re-emits it, while
another attempt measures anew.
The config (JSON) comes from {CONFIG_VARIABLE} or --config.
"""


REPLAY_HELP = f"""\
Send held-out queries to a release that serves, through its own encoder and index, and measure
relevance recall@k by the labels of the rows that come back.

Reports and judges nothing, as `evaluate`. An answer of another release, space or build is refused.
The config (JSON) comes from {CONFIG_VARIABLE} or --config.
"""

IMPORT_HELP = f"""\
Take a model artifact of another store over into this release's store.

The config (JSON) comes from {CONFIG_VARIABLE} or --config:
  {{"release": "glyphs-r1", "releaseUID": "any", "artifacts": {{"uri": "file:///artifacts",
    "claimName": "any"}}, "artifact": {{"uri": "file:///artifacts/imports/store",
                                      "digest": "sha256:..."}}}}

The manifest is checked against the digest, every file against the manifest before it is parsed,
the model must load and give the embeddings that were published with it. Then it is copied, under
the same digest. The result is the JSON in the termination message.
"""

IMPORT_EXITS = """\
exit codes: 0 taken over; 2 bad config; 6 artifact missing, corrupt or of another layout; 9 golden
vectors differ, or the model does not load; 70 internal; 74 store out of reach; 75 stopped
"""

CHECK_HELP = f"""\
Read every byte of a release's model and index builds in the store, and report which of them are
missing or damaged. Nothing is written, and nothing that serves is touched.

The config (JSON) comes from {CONFIG_VARIABLE} or --config:
  {{"release": "glyphs-r1", "releaseUID": "any", "artifacts": {{"uri": "file:///artifacts",
    "claimName": "any"}}, "artifactDigest": "sha256:...", "builds": ["sha256:..."]}}
"""

CHECK_EXITS = """\
exit codes: 0 read, whole or not: the result says which; 2 bad config; 70 internal; 74 store out of
reach, which says nothing of the files; 75 stopped
"""

INSPECT_HELP = """\
Print the model artifacts of a store as JSON: digest (what `spec.artifact.digest` takes), spaceID,
dimension and manifest. Every byte is checked. Credentials come from the environment (AWS_*,
GOOGLE_*, AZURE_*).
"""


if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lockstep-encoder",
        description="Serves, measures or imports one release of an encoder.",
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="serve|evaluate|replay|import|check|inspect"
    )
    serve = _command(commands, "serve", "answer embeddings and searches", SERVE_HELP, SERVE_EXITS)
    evaluate = _command(
        commands, "evaluate", "measure relevance recall on held-out items", EVALUATE_HELP
    )
    _command(commands, "replay", "measure relevance recall of a release that serves", REPLAY_HELP)
    take_over = _command(
        commands, "import", "take a model artifact of another store over", IMPORT_HELP, IMPORT_EXITS
    )
    _command(commands, "check", "read what a release is stored as", CHECK_HELP, CHECK_EXITS)
    for command in (serve, evaluate, take_over):
        add_threads_option(command, "threads of one inference")
    _add_serve(serve)
    _add_inspect(commands.add_parser("inspect", help="show the model artifacts of a store"))
    return parser


def _command(
    commands: Commands, name: str, purpose: str, description: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    """A command that takes a config."""
    command = commands.add_parser(
        name,
        help=purpose,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="the config, as JSON")
    return command


def _add_serve(command: argparse.ArgumentParser) -> None:
    add_server_options(command)
    defaults = ServeOptions()
    command.add_argument(
        "--max-batch-items",
        type=_at_least_one,
        default=defaults.max_batch_items,
        help="%(default)s",
    )
    command.add_argument(
        "--max-queue-items",
        type=_at_least_one,
        default=defaults.max_queue_items,
        help="items that may wait before requests get 429 (%(default)s)",
    )


def _at_least_one(text: str) -> int:
    """An argparse type: a whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _add_inspect(command: argparse.ArgumentParser) -> None:
    command.description = INSPECT_HELP
    command.add_argument("uri", metavar="URI", help="root of the store, such as file:///artifacts")
    command.add_argument("digest", metavar="DIGEST", nargs="?", help="one artifact alone")
    command.add_argument("--endpoint", metavar="URL", help="endpoint of an S3-compatible store")
    command.add_argument("--region", metavar="NAME", help="region of an S3 store")


def main(arguments: Sequence[str] | None = None) -> int:
    log_to_stderr()
    given = _parser().parse_args(arguments)
    if given.command == "inspect":
        return inspect(given.uri, given.digest, endpoint=given.endpoint, region=given.region)
    if given.command == "import":
        return import_model(given.config, threads=given.threads)
    if given.command == "evaluate":
        return evaluate(given.config, threads=given.threads)
    if given.command == "check":
        return check(given.config)
    if given.command == "replay":
        return replay(given.config)
    return serve(
        given.config,
        ServeOptions(
            threads=given.threads,
            max_batch_items=given.max_batch_items,
            max_queue_items=given.max_queue_items,
            server=server_options(given),
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
