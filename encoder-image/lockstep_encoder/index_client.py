"""Searches the index servers of this release, and withholds every answer of any other."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import ValidationError

from lockstep_core.protocol import headers
from lockstep_core.protocol.config import IndexEndpoint
from lockstep_core.protocol.http import MAX_QUERIES, GoldenAnswers, VectorSearchRequest
from lockstep_core.serving.errors import RequestError

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
# Long before the server closes an idle connection (`serving.connections.IDLE_SECONDS`), so that
# none is used while the server closes it. Short, because a Service balances per connection: the
# next burst of searches reaches pods that came meanwhile. The age of a busy connection is bounded
# by the index server, which says `Connection: close` after some seconds.
KEEPALIVE_SECONDS = 3.0
MAX_CONNECTIONS = 64
# Rows of one request to an index server, under the protocol's limit on a base64 text (4 MiB).
MAX_VECTOR_BYTES = 3 * 1024 * 1024


class IndexUnavailable(Exception):
    """No answer: refused, lost, timed out, or not Ready. Worth another try."""


class PairingRefused(Exception):
    """An answer that is not of this release's index. `reason` is a label of the metric."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class IndexAnswer:
    """`results` as the index server gave them, and its own words on who it is."""

    results: list[Any]
    space: str
    build: str


@dataclass(frozen=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class IndexClient:
    """Keep-alive connections to the index Services. One for the process; close it at the end."""

    def __init__(self) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS, connect=2.0)
        pool = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_SECONDS)
        self._pooled = aiohttp.ClientSession(connector=pool, timeout=timeout)
        # A retry takes a new connection, so that the Service may choose another pod.
        fresh = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, force_close=True)
        self._fresh = aiohttp.ClientSession(connector=fresh, timeout=timeout)

    async def close(self) -> None:
        await self._pooled.close()
        await self._fresh.close()

    async def search(
        self,
        index: IndexEndpoint,
        vectors: NDArray[np.float32],
        k: int,
        *,
        remaining_seconds: float | None = None,
    ) -> IndexAnswer:
        """The `k` nearest of each row of `vectors` [count >= 1, dimension] in exactly this build.

        Raises IndexUnavailable, PairingRefused, or `RequestError` with the server's own verdict on
        the request (400, 413, 422, 429, 504).
        """
        results: list[Any] = []
        step = min(MAX_QUERIES, max(1, MAX_VECTOR_BYTES // (4 * vectors.shape[1])))
        for at in range(0, len(vectors), step):
            answer = await self._search_part(index, vectors[at : at + step], k, remaining_seconds)
            results += answer.results
        return IndexAnswer(results, answer.space, answer.build)

    async def _search_part(
        self,
        index: IndexEndpoint,
        vectors: NDArray[np.float32],
        k: int,
        remaining_seconds: float | None,
    ) -> IndexAnswer:
        rows = np.ascontiguousarray(vectors, dtype="<f4")
        request = VectorSearchRequest(
            vectors=base64.b64encode(rows.tobytes()).decode(), count=len(rows), k=k
        )
        extra = {}
        if remaining_seconds is not None:
            extra[headers.DEADLINE] = str(max(1, int(remaining_seconds * 1000)))
        body = orjson.dumps(request.to_wire())
        reply = await self._ask(index, "POST", "/v1/search", body, extra)
        results = _results(reply.body)
        if results is None or len(results) != len(rows):
            raise IndexUnavailable(f"index {index.name} gave no {len(rows)} results")
        return IndexAnswer(
            results, reply.headers[headers.INDEX_SPACE], reply.headers[headers.BUILD]
        )

    async def golden(self, index: IndexEndpoint) -> GoldenAnswers:
        """What the build answered to the model's golden inputs when it was sealed."""
        reply = await self._ask(index, "GET", "/v1/golden", None, {})
        try:
            return GoldenAnswers.model_validate_json(reply.body)
        except ValidationError as error:
            raise IndexUnavailable(f"index {index.name} gave no golden answers: {error}") from error

    async def ask_ready(self, index: IndexEndpoint) -> None:
        """Raises IndexUnavailable or PairingRefused unless a server of exactly this build says that
        it is Ready."""
        await self._ask(index, "GET", "/readyz", None, {})

    async def who_answers(self, url: str) -> str | None:
        """The release of the encoder that a new connection to `url` reaches; None: nobody that is
        Ready."""
        try:
            async with self._fresh.get(url.rstrip("/") + "/readyz") as response:
                return response.headers.get(headers.RELEASE) if response.status == 200 else None
        except (TimeoutError, aiohttp.ClientError, OSError):
            return None

    async def _ask(
        self,
        index: IndexEndpoint,
        method: str,
        path: str,
        body: bytes | None,
        extra: Mapping[str, str],
    ) -> _Reply:
        """One request, once more on a new connection when there is no answer; checked identity."""
        sent = {
            headers.EXPECTED_SPACE: index.space_id,
            headers.EXPECTED_BUILD: index.build_digest,
            "content-type": "application/json",
            **extra,
        }
        url = index.url.rstrip("/") + path
        try:
            reply = await self._once(self._pooled, index, method, url, body, sent)
        except IndexUnavailable as error:
            logger.info("asking once more: %s", error)
            reply = await self._once(self._fresh, index, method, url, body, sent)
        if reply.status == 409:
            raise PairingRefused("Refused", f"index {index.name} refused: {_message(reply.body)}")
        check_identity(index, reply.headers)
        if reply.status in (400, 413, 422, 429, 504):
            passed_on = {k: v for k, v in reply.headers.items() if k.lower() == "retry-after"}
            raise RequestError(
                reply.status,
                f"index {index.name}: {_message(reply.body)}",
                code="index_refused",
                headers=passed_on,
            )
        if reply.status != 200:
            raise IndexUnavailable(
                f"index {index.name} answered {reply.status}: {_message(reply.body)}"
            )
        return reply

    async def _once(
        self,
        session: aiohttp.ClientSession,
        index: IndexEndpoint,
        method: str,
        url: str,
        body: bytes | None,
        sent: Mapping[str, str],
    ) -> _Reply:
        try:
            async with session.request(method, url, data=body, headers=sent) as response:
                reply = _Reply(response.status, response.headers, await response.read())
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            cause = str(error) or type(error).__name__
            raise IndexUnavailable(f"index {index.name} does not answer: {cause}") from error
        if reply.status == 503:
            raise IndexUnavailable(f"index {index.name} is not ready: {_message(reply.body)}")
        return reply


def check_identity(index: IndexEndpoint, identity: Mapping[str, str]) -> None:
    """Raises PairingRefused unless the reply's own headers name our index's space and build."""
    for reason, header, expected in (
        ("Space", headers.INDEX_SPACE, index.space_id),
        ("Build", headers.BUILD, index.build_digest),
    ):
        value = identity.get(header)
        if value != expected:
            raise PairingRefused(
                reason,
                f"index {index.name} at {index.url} says `{header}: {value or 'nothing'}`, but"
                f" this release's index has {expected}",
            )


def _results(body: bytes) -> list[Any] | None:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    results = answer.get("results") if isinstance(answer, dict) else None
    return results if isinstance(results, list) else None


def _message(body: bytes) -> str:
    """The message of an error body in OpenAI's shape, or the start of whatever came."""
    try:
        return str(orjson.loads(body)["error"]["message"])[:500]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace") or "no body"
