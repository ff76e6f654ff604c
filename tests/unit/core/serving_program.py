"""A small real server for the tests.

`python serving_program.py PORT DRAIN_SECONDS MAX_AGE [HEAD_SECONDS [BODY_SECONDS [HOST]]]`: on
127.0.0.1 unless HOST is given; `all` is every address.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lockstep_core.artifacts import ArtifactError, StoreError
from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.metrics import request_seconds_of, requests_of
from lockstep_core.protocol.result import Program
from lockstep_core.serving.errors import read_body
from lockstep_core.serving.identity import Identity
from lockstep_core.serving.serve import Host, Server, ServerOptions, run_server
from lockstep_core.serving.startup import StartError
from lockstep_encoder.disconnects import cancel_on_disconnect

FAILURES: dict[str, Exception] = {
    "artifact": ArtifactError("model.onnx is corrupt"),
    "store": StoreError("the bucket does not answer"),
    "self-check": StartError(ExitCode.SELF_CHECK_FAILED, "GoldenMismatch", "item 3 differs"),
    "bug": KeyError("oops"),
}

DEFAULTS = ("10", "60", "127.0.0.1")


class ProgramConfig(Contract):
    release: str
    loading_seconds: float = 0
    fails: str | None = None


@asynccontextmanager
async def start(config: ProgramConfig, host: Host) -> AsyncIterator[None]:
    host.lifecycle.wait_for("model", "loading it")
    await asyncio.sleep(config.loading_seconds)
    if config.fails:
        raise FAILURES[config.fails]

    async def work(request: Request) -> Response:
        await asyncio.sleep(float(request.query_params.get("seconds", "0.02")))
        return JSONResponse({"release": config.release})

    async def patient(request: Request) -> Response:
        await request.body()
        await cancel_on_disconnect(request, asyncio.sleep(float(request.query_params["seconds"])))
        return Response()

    async def size(request: Request) -> Response:
        return JSONResponse({"bytes": len(await read_body(request, 1000))})

    async def bug(_request: Request) -> Response:
        raise RuntimeError("a secret of the inside")

    host.mount(
        Identity(config.release, "a" * 12),
        [
            Route("/work", work),
            Route("/size", size, methods=["POST"]),
            Route("/bug", bug),
            Route("/patient", patient),
        ],
        {"/work": "work", "/bug": "bug", "/patient": "patient", "/size": "size"},
        requests=requests_of("test_requests_total"),
        seconds=request_seconds_of("test_seconds"),
    )
    host.lifecycle.passed("model")
    yield


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    port, drain, age, head, body, address = [*sys.argv[1:], *DEFAULTS[len(sys.argv) - 4 :]]
    options = ServerOptions(
        host=None if address == "all" else address,
        port=int(port),
        drain_seconds=float(drain),
        max_connection_age_seconds=float(age),
        head_seconds=float(head),
        body_seconds=float(body),
    )
    server = Server(Program.SERVE_INDEX, ProgramConfig, lambda config: config.release, start)
    sys.exit(run_server(server, options=options))
