"""`POST /v1/search` and `GET /v1/golden`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lockstep_core.protocol.http import VectorSearchRequest
from lockstep_core.serving.admission import deadline_of
from lockstep_core.serving.errors import RequestError, read
from lockstep_indexer.opened_build import Hit, OpenedBuild
from lockstep_indexer.search_executor import SearchExecutor
from lockstep_indexer.vectors import DegenerateVectorsError, Vectors, check_normalised

SEARCH_PATH = "/v1/search"
GOLDEN_PATH = "/v1/golden"
APIS = {SEARCH_PATH: "search", GOLDEN_PATH: "golden"}


def _refuse(message: str) -> RequestError:
    return RequestError(422, f"`vectors` {message}", code="invalid_field", param="vectors")


def decode_vectors(text: str, *, count: int, dimension: int) -> Vectors:
    """Base64 of `count` rows of `dimension` little-endian float32 → (count, dimension).

    Raises `RequestError` (422) for anything but unit vectors of this space's width.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refuse(f"is not base64: {error}") from error
    expected = count * dimension * 4
    if len(raw) != expected:
        raise _refuse(
            f"holds {len(raw)} bytes, must hold {expected}: {count} rows (`count`) of"
            f" {dimension} little-endian float32"
        )
    vectors = np.frombuffer(raw, dtype="<f4").astype(np.float32).reshape(count, dimension)
    try:
        check_normalised(vectors, [f"row {row}" for row in range(count)])
    except DegenerateVectorsError as error:
        raise _refuse(f"must be L2-normalised embeddings: {error}") from error
    return vectors


def render(hits: Sequence[Sequence[Hit]]) -> bytes:
    """The JSON of a `VectorSearchResponse`."""
    return orjson.dumps({"results": _neighbours(hits)})


def _neighbours(hits: Sequence[Sequence[Hit]]) -> list[list[dict[str, str | float]]]:
    # Plain dictionaries: a pydantic model for each of up to 256,000 hits would cost more than the
    # search. Tests hold the shape against `VectorSearchResponse`.
    return [
        [{"id": hit.id, "label": hit.label, "distance": hit.distance} for hit in each]
        for each in hits
    ]


def _answer(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def routes(build: OpenedBuild, executor: SearchExecutor) -> list[Route]:
    """The API of one opened build."""
    dimension = build.manifest.dimension
    sealed = build.hits(build.golden.rows, build.golden.distances)
    queries = np.ascontiguousarray(build.golden.queries, dtype="<f4").tobytes()
    golden = orjson.dumps(
        {
            "k": build.golden.k,
            "queries": base64.b64encode(queries).decode(),
            "results": _neighbours(sealed),
        }
    )

    async def search(request: Request) -> Response:
        deadline = deadline_of(request.headers, executor.clock())
        body = await read(request, VectorSearchRequest)
        queries = decode_vectors(body.vectors, count=body.count, dimension=dimension)
        return _answer(await executor.search(queries, body.k, exact=body.exact, deadline=deadline))

    async def sealed_answers(_request: Request) -> Response:
        return _answer(golden)

    return [
        Route(SEARCH_PATH, search, methods=["POST"]),
        Route(GOLDEN_PATH, sealed_answers, methods=["GET"]),
    ]
