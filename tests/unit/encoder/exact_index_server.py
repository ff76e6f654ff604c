"""A small real index server: the protocol over exact search. It lies when it is told to.

`POST /lie` with `{"headers": {...}}` makes searches answer under these headers, whatever was
expected; with `{"drop": true}` they lose a result; with `{}` it is honest again.
"""

from __future__ import annotations

import base64
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import orjson
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.http import GoldenAnswers, VectorSearchRequest
from lockstep_core.protocol.metrics import INDEX_REQUEST_SECONDS, INDEX_REQUESTS
from lockstep_core.protocol.result import Program
from lockstep_core.quality.recall import exact_neighbours
from lockstep_core.serving.errors import read
from lockstep_core.serving.identity import Identity
from lockstep_core.serving.serve import Host, Server, ServerOptions, run_server


class ExactIndexConfig(Contract):
    release: str
    space_id: str = Field(alias="spaceID")
    build: str
    vectors: str
    golden: GoldenAnswers


@asynccontextmanager
async def start(config: ExactIndexConfig, host: Host) -> AsyncIterator[None]:
    with np.load(config.vectors) as stored:
        vectors, labels, ids = stored["vectors"], stored["labels"], stored["ids"]
    honest = Identity(config.release, config.space_id, config.space_id, config.build)
    lie: dict[str, Any] = {}

    async def search(request: Request) -> Response:
        asked = await read(request, VectorSearchRequest)
        queries = np.frombuffer(base64.b64decode(asked.vectors), "<f4").reshape(asked.count, -1)
        rows, distances = exact_neighbours(queries, vectors, asked.k)
        results = [
            [
                {"id": str(ids[row]), "label": str(labels[row]), "distance": float(distance)}
                for row, distance in zip(hits, apart, strict=True)
                if row >= 0
            ]
            for hits, apart in zip(rows, distances, strict=True)
        ]
        if lie.get("drop"):
            results.pop()
        body = orjson.dumps({"results": results})
        return Response(body, headers=lie.get("headers"), media_type="application/json")

    async def golden(_request: Request) -> Response:
        return Response(orjson.dumps(config.golden.to_wire()), media_type="application/json")

    async def tell(request: Request) -> Response:
        lie.clear()
        lie.update(orjson.loads(await request.body()))
        host.identity.current = Identity(config.release) if "headers" in lie else honest
        return Response()

    routes = [
        Route("/v1/search", search, methods=["POST"]),
        Route("/v1/golden", golden),
        Route("/lie", tell, methods=["POST"]),
    ]
    host.mount(honest, routes, {}, requests=INDEX_REQUESTS, seconds=INDEX_REQUEST_SECONDS)
    yield


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = Server(Program.SERVE_INDEX, ExactIndexConfig, lambda config: config.release, start)
    sys.exit(run_server(server, options=ServerOptions("127.0.0.1", port, drain_seconds=0)))
