"""Command line of the indexer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstep_core.protocol.environment import CONFIG_VARIABLE, PROGRESS_PORT, SERVING_PORT
from lockstep_core.protocol.logs import log_to_stderr
from lockstep_core.serving.options import add_server_options, server_options
from lockstep_core.serving.serve import run_server
from lockstep_core.threads import add_threads_option
from lockstep_indexer.building import run_build
from lockstep_indexer.serving import index_server

BUILD_HELP = f"""\
Embed a corpus with a release's own encoder, index it, publish the index, and measure it.

The config (JSON) comes from {CONFIG_VARIABLE} or --config:
  {{"release": "glyphs-r1", "releaseUID": "1", "artifacts": {{"uri": "file:///artifacts",
    "claimName": "any"}}, "artifactDigest": "sha256:...", "spaceID": "0123456789ab",
    "index": "glyphs", "source": {{"uri": "file:///artifacts/glyphs.npz", "format": "NPZ"}},
    "recipe": {{"type": "HNSW", "hnsw": {{"m": 32}}}}, "objectives": {{"recall": {{"k": 10}}}}}}

It verifies the model artifact by digest, refuses one of another space, embeds every row, builds
the index, publishes it content-addressed, then fetches it back as a server would and measures
index recall@k there: against exact search, for up to 1,000 rows of the corpus. It judges nothing:
the bound lives in the VectorIndex. The result is the JSON in the termination message, kept in the
store, so that a second run re-emits it at once. The same inputs give the same build digest.

  curl -s localhost:{PROGRESS_PORT}/progress       rows embedded and indexed, rate, time left
"""

BUILD_EXITS = """\
exit codes: 0 published; 2 bad config; 3 bad corpus, or items that embed to no usable vector;
6 artifact corrupt or of another space; 9 the published index answers otherwise than when built;
70 internal; 74 store out of reach; 75 stopped by SIGTERM
"""

SERVE_HELP = f"""\
Serve one index build: searches with the embeddings of exactly one space.

The config (JSON) comes from {CONFIG_VARIABLE} or --config:
  {{"release": "glyphs-r1", "index": "glyphs", "artifacts": {{"uri": "file:///artifacts",
    "claimName": "any"}}, "buildDigest": "sha256:...", "spaceID": "0123456789ab"}}

It fetches the build by digest, verifies every byte before FAISS parses any, refuses a build of
another space, checks that golden queries are answered as when the build was sealed, and only then
is Ready.

  curl -s localhost:{SERVING_PORT}/readyz            what it still waits for
  curl -s localhost:{SERVING_PORT}/v1/golden         what the build answered when it was sealed
  curl -s localhost:{SERVING_PORT}/v1/search -d '{{"vectors": "<base64 of float32 rows>",
                                        "count": 1, "k": 10, "exact": false}}'

`exact` compares with every stored vector. Each response names its release, space and build in
`x-lockstep-...` headers; a request that expects another space or build is refused (409).
"""

SERVE_EXITS = """\
exit codes: 0 drained after SIGTERM; 2 bad config; 6 build corrupt or of another space;
9 golden queries answered otherwise; 70 internal; 74 store out of reach
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lockstep-indexer", description="Builds or serves one vector index of a release."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="build|serve")
    raw = argparse.RawDescriptionHelpFormatter
    build = commands.add_parser(
        "build",
        help="embed a corpus and seal its index",
        description=BUILD_HELP,
        epilog=BUILD_EXITS,
        formatter_class=raw,
    )
    serve = commands.add_parser(
        "serve",
        help="answer searches in one build",
        description=SERVE_HELP,
        epilog=SERVE_EXITS,
        formatter_class=raw,
    )
    for command, meaning in ((build, "threads that embed"), (serve, "threads that search")):
        command.add_argument("--config", type=Path, metavar="FILE", help="the config, as JSON")
        add_threads_option(command, meaning)
    add_server_options(serve)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    log_to_stderr()
    given = _parser().parse_args(arguments)
    if given.command == "build":
        return run_build(given.config, threads=given.threads)
    return run_server(index_server(threads=given.threads), given.config, server_options(given))


if __name__ == "__main__":
    sys.exit(main())
