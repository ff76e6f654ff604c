"""Command line of the monitor."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstep_core.protocol.environment import MONITOR_PORT, MONITOR_VARIABLE
from lockstep_core.protocol.logs import log_to_stderr

SERVE_HELP = f"""\
Sum up a sample of the embeddings of the encoder in the same pod, window by window. What it answers
are sums, which merge across pods. An embedding goes to the release's own indexes alone.

The config (JSON) comes from {MONITOR_VARIABLE} or --config:
  {{"model": "glyphs", "release": "glyphs-r1", "namespace": "shop", "directory": "/run/lockstep",
    "windowSeconds": 300,
    "recall": {{"perMinute": 60, "k": 10, "indexes": [{{"name": "glyphs", "spaceID": "0123456789ab",
      "url": "http://glyphs-r1-glyphs.shop.svc:8080", "buildDigest": "sha256:…"}}]}}}}

The encoder leaves in `directory` what its artifact has for this (drift/features.safetensors and
drift/baseline.json), and sends datagrams to monitor.sock there. It never waits for the monitor.

  curl -s localhost:{MONITOR_PORT}/v1/report              what is watched, and the last windows
  curl -s localhost:{MONITOR_PORT}/v1/sketch?after=-1     closed windows, oldest first, 16 at most
  curl -s localhost:{MONITOR_PORT}/v1/baseline            the held-out baseline of the artifact
  curl -s localhost:{MONITOR_PORT}/v1/recall?after=-1     index recall of live searches, by window
  curl -s localhost:{MONITOR_PORT}/metrics                counters; distances are the operator's

With `recall` a search now and then is asked of the release's indexes once more, and exactly: what
they did not find is counted. An index is asked by one thread, for 1 % of the time at most.

The last 288 windows are kept, in `directory` too: a monitor that starts again in its pod lost the
open one at most.
With the config in the environment, as in a pod, a worker that ends is started again, so that the
container and with it the pod stay ready.
"""

SERVE_EXITS = "exit codes: 0 stopped by SIGTERM; with --config also 2 bad config, 70 cannot listen"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lockstep-monitor", description="Watches what the encoder beside it embeds."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="serve")
    serve = commands.add_parser(
        "serve",
        help="sum up embeddings by window",
        description=SERVE_HELP,
        epilog=SERVE_EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument("--config", type=Path, metavar="FILE", help="the config, as JSON")
    serve.add_argument("--port", type=int, default=MONITOR_PORT, help="%(default)s")
    serve.add_argument("--host", help="address to listen on; all of both families when left out")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    log_to_stderr()
    given = _parser().parse_args(arguments)
    # Products of small matrices gain nothing from threads, and each of them takes memory.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

    def work() -> int:
        # Late: the process that supervises has no use for what this imports.
        from lockstep_monitor.serve import serve

        return serve(given.config, given.port, given.host)

    if given.config is not None:
        return work()
    from lockstep_monitor.supervisor import Supervisor

    return Supervisor(work).run()


if __name__ == "__main__":
    sys.exit(main())
