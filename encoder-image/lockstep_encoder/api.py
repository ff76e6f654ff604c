"""The encoder's HTTP API: `/v1/embeddings` and `/v1/models` (OpenAI's), and `/v1/search`."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lockstep_core.protocol import headers
from lockstep_core.protocol.config import IndexEndpoint
from lockstep_core.protocol.http import (
    MAX_QUERIES,
    EmbeddingsRequest,
    SearchRequest,
    SearchResponse,
)
from lockstep_core.protocol.monitoring import TrafficRole
from lockstep_core.serving.admission import Admission, deadline_of, expired
from lockstep_core.serving.errors import RequestError, read
from lockstep_core.serving.identity import answer_in_space
from lockstep_encoder.batching import Batcher, Embedded
from lockstep_encoder.embedding import ItemEmbedder
from lockstep_encoder.index_client import (
    IndexAnswer,
    IndexClient,
    IndexUnavailable,
    PairingRefused,
)
from lockstep_encoder.metrics import EncoderMetrics
from lockstep_encoder.model import Model
from lockstep_encoder.tap import Tap

APIS = {"/v1/embeddings": "embeddings", "/v1/search": "search", "/v1/models": "models"}


class Api:
    """Handlers over one model, one batcher and the indexes of one release."""

    def __init__(
        self,
        model: Model,
        batcher: Batcher,
        admission: Admission,
        metrics: EncoderMetrics,
        *,
        client: IndexClient,
        indexes: dict[str, IndexEndpoint],
        default_index: str | None = None,
        tap: Tap | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._model = model
        self._embedder = ItemEmbedder(model, batcher, admission, metrics)
        self._metrics = metrics
        self._client = client
        self._indexes = indexes
        self._default_index = default_index
        self._tap = tap
        self._clock = clock
        self._created = int(time.time())

    @property
    def _names(self) -> tuple[str, str]:
        return self._model.name, self._model.release

    def apis(self) -> dict[str, str]:
        """The paths that are counted, and their label in metrics."""
        return APIS | {f"/v1/models/{name}": "models" for name in self._names}

    def routes(self) -> list[Route]:
        return [
            Route("/v1/embeddings", self.embeddings, methods=["POST"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/v1/models/{name}", self.one_model, methods=["GET"]),
            Route("/v1/search", self.search, methods=["POST"]),
        ]

    async def embeddings(self, request: Request) -> Response:
        """OpenAI-compatible. `usage` counts what the encoder reads: tokens or bytes of texts; any
        other item counts as one."""
        asked = await read(request, EmbeddingsRequest)
        self._check_model(asked)
        deadline = deadline_of(request.headers, self._clock())
        embedded, units = await self._embedder.embed(
            request, asked.input, deadline, limit=self._embedder.max_items
        )
        self._show(request, TrafficRole.EMBEDDING, embedded)
        space, vectors = self._shortened(embedded, asked.dimensions)
        if asked.encoding_format == "base64":
            rows = np.ascontiguousarray(vectors, dtype="<f4")
            encoded: list[Any] = [base64.b64encode(row.tobytes()).decode() for row in rows]
        else:
            encoded = list(vectors)
        body = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": at, "embedding": value}
                for at, value in enumerate(encoded)
            ],
            "model": self._model.name,
            "usage": {"prompt_tokens": units, "total_tokens": units},
        }
        if space != self._model.space:
            answer_in_space(request.scope, space)
        return _json(body, {"server-timing": _timing(embedded)})

    async def models(self, _request: Request) -> Response:
        """The names that `model` of an embeddings request may have."""
        return _json({"object": "list", "data": [self._described(each) for each in self._names]})

    async def one_model(self, request: Request) -> Response:
        """What `models` says of one of its names."""
        name = request.path_params["name"]
        self._check_name(name)
        return _json(self._described(name))

    def _described(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._created, "owned_by": "lockstep"}

    async def search(self, request: Request) -> Response:
        """Embeds, searches this release's index, and says in its own words who answered."""
        asked = await read(request, SearchRequest)
        index = self._index(asked.index)
        _check_build(index, request.headers.get(headers.EXPECTED_BUILD))
        deadline = deadline_of(request.headers, self._clock())
        embedded, _ = await self._embedder.embed(request, asked.input, deadline, limit=MAX_QUERIES)
        self._show(request, TrafficRole.QUERY, embedded)
        begun = self._clock()
        answer = await self._ask_index(index, embedded, asked.k, deadline)
        response = SearchResponse.model_construct(
            release=self._model.release,
            space_id=self._model.space,
            index=index.name,
            index_space_id=answer.space,
            build=answer.build,
            results=answer.results,
        )
        timing = f"{_timing(embedded)}, index;dur={1000 * (self._clock() - begun):.2f}"
        identity = {headers.INDEX_SPACE: answer.space, headers.BUILD: answer.build}
        # The results are the index server's own dicts: a warning for each would flood the log.
        body = response.model_dump(by_alias=True, warnings=False)
        return _json(body, {**identity, "server-timing": timing})

    def _show(self, request: Request, role: TrafficRole, embedded: Embedded) -> None:
        """To the monitor, whole: a prefix is of another space. A replay is no traffic."""
        if self._tap is not None and headers.REPLAY not in request.headers:
            self._tap.offer(role, embedded.vectors)

    async def _ask_index(
        self, index: IndexEndpoint, embedded: Embedded, k: int, deadline: float | None
    ) -> IndexAnswer:
        remaining = None if deadline is None else deadline - self._clock()
        if remaining is not None and remaining <= 0:
            self._metrics.rejected.labels("DeadlineExceeded").inc()
            raise expired()
        try:
            return await self._client.search(
                index, embedded.vectors, k, remaining_seconds=remaining
            )
        except IndexUnavailable as error:
            # The next request takes a new connection, which goes to whoever the entry point selects
            # by then: a client that kept this one would stay with an encoder that cannot answer.
            extra = {"retry-after": "1", "connection": "close"}
            raise RequestError(503, str(error), code="index_unavailable", headers=extra) from error
        except PairingRefused as error:
            self._metrics.pairing_refusals.labels(index.name, error.reason).inc()
            raise RequestError(
                502,
                f"{error}: its answer was withheld, as it may be of another space",
                code="pairing_refused",
            ) from error

    def _check_name(self, name: str) -> None:
        if name not in self._names:
            ours, release = self._names
            raise RequestError(
                404,
                f"`model` is {name[:253]!r}, this encoder serves {ours!r} (release {release!r})",
                code="model_not_found",
                param="model",
            )

    def _check_model(self, asked: EmbeddingsRequest) -> None:
        if asked.model is not None:
            self._check_name(asked.model)
        allowed = self._model.dimensions
        if asked.dimensions is not None and asked.dimensions not in allowed:
            raise RequestError(
                422,
                f"`dimensions` is {asked.dimensions}, but this encoder's embeddings have"
                f" {_listed(allowed)}: it was trained for no other",
                code="invalid_field",
                param="dimensions",
            )

    def _shortened(
        self, embedded: Embedded, dimensions: int | None
    ) -> tuple[str, NDArray[np.float32]]:
        """The space, and the embeddings in it: whole, or cut and of unit norm again.

        A cut embedding is of another space: it can be compared with none of this release's index.
        """
        if dimensions is None or dimensions == self._model.dimension:
            return self._model.space, embedded.vectors
        cut = embedded.vectors[:, :dimensions]
        norms = np.linalg.norm(cut, axis=1, keepdims=True)
        shortened = cut / np.maximum(norms, np.finfo(np.float32).tiny)
        return self._model.manifest.space_of_prefix(dimensions), shortened

    def _index(self, name: str | None) -> IndexEndpoint:
        """The index that is meant: 404 without one of that name, 422 where a name is needed."""
        names = ", ".join(sorted(self._indexes)) or "none"
        name = name or self._default_index
        if name is None and len(self._indexes) > 1:
            raise RequestError(
                422,
                f"`index` must name one of this release's indexes: {names}; or `spec.defaultIndex`"
                " of the model, for every search that names none",
                code="invalid_field",
                param="index",
            )
        index = self._indexes.get(name) if name else next(iter(self._indexes.values()), None)
        if index is None:
            wanted = f"no index {name!r}" if name else "no index"
            raise RequestError(
                404,
                f"release {self._model.release} has {wanted}; its indexes are: {names}",
                code="index_not_found",
                param="index",
            )
        return index


def _check_build(index: IndexEndpoint, expected: str | None) -> None:
    if expected is not None and expected != index.build_digest:
        raise RequestError(
            409,
            f"`{headers.EXPECTED_BUILD}` asks for build {expected}, but index {index.name} of this"
            f" release is build {index.build_digest}: nothing was answered",
            code="identity_mismatch",
        )


def _listed(dimensions: Sequence[int]) -> str:
    *others, last = map(str, dimensions)
    return f"{', '.join(others)} or {last}" if others else last


def _timing(embedded: Embedded) -> str:
    queued, inferred = 1000 * embedded.queue_seconds, 1000 * embedded.infer_seconds
    return f"queue;dur={queued:.2f}, infer;dur={inferred:.2f}"


def _json(body: Any, extra: dict[str, str] | None = None) -> Response:
    content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, headers=extra, media_type="application/json")
