"""Asks a release that serves, as a user would, and believes only the pair that was asked for."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, cast

import aiohttp
import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import ValidationError

from lockstep_core.datasets.dataset import is_text
from lockstep_core.encoding import Raw
from lockstep_core.jobs import JobFailure
from lockstep_core.protocol import headers
from lockstep_core.protocol.config import ReplayConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.http import Neighbour, SearchResponse

TIMEOUT_SECONDS = 30.0
# Busy, starting or between two pods: worth asking again, while the operator's deadline allows it.
TRY_AGAIN = frozenset({429, 502, 503, 504})
TRIES = 6
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 8.0


class _Busy(Exception):
    """No answer this time."""


class ReleaseClient:
    """`POST /v1/search` of one release; an async context."""

    def __init__(self, config: ReplayConfig, *, first_wait: float = FIRST_WAIT_SECONDS) -> None:
        self._config = config
        self._first_wait = first_wait
        self._url = f"{config.url.rstrip('/')}/v1/search"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> ReleaseClient:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        sent = {
            headers.EXPECTED_SPACE: self._config.space_id,
            headers.EXPECTED_BUILD: self._config.build_digest,
            headers.REPLAY: "1",
            "content-type": "application/json",
        }
        self._session = aiohttp.ClientSession(timeout=timeout, headers=sent)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def search(self, inputs: Raw, k: int) -> list[list[Neighbour]]:
        """The `k` nearest of each of the raw items `inputs` [N, ...].

        Raises JobFailure: retryable while nobody answers, and not when another pair does.
        """
        body = orjson.dumps(
            {"input": _body(inputs), "index": self._config.index, "k": k},
            option=orjson.OPT_SERIALIZE_NUMPY,
        )
        wait, why = self._first_wait, ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
            try:
                results = await self._once(body)
            except _Busy as error:
                why = str(error)
                continue
            if len(results) != len(inputs):
                raise self._refused(f"{len(results)} results came for {len(inputs)} queries")
            return results
        raise JobFailure(
            ExitCode.INTERNAL,
            "ReleaseUnavailable",
            f"{self._url} did not answer in {TRIES} tries: {why}",
        )

    async def _once(self, body: bytes) -> list[list[Neighbour]]:
        assert self._session is not None
        try:
            async with self._session.post(self._url, data=body) as response:
                status, sent, answer = response.status, response.headers, await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _Busy(str(error) or type(error).__name__) from error
        if status in TRY_AGAIN:
            raise _Busy(f"status {status}")
        if status == 409:
            raise self._refused(_text(answer))
        if status != 200:
            raise JobFailure(
                ExitCode.BAD_DATASET, "QueryRefused", f"{self._url}: {status}: {_text(answer)}"
            )
        for header, expected in (
            (headers.RELEASE, self._config.release),
            (headers.SPACE, self._config.space_id),
            (headers.INDEX_SPACE, self._config.space_id),
            (headers.BUILD, self._config.build_digest),
        ):
            if sent.get(header) != expected:
                raise self._refused(f"`{header}` is {sent.get(header)}, expected {expected}")
        try:
            return SearchResponse.model_validate_json(answer).results
        except ValidationError as error:
            raise self._refused(f"the answer is none of this version: {error}") from error

    def _refused(self, why: str) -> JobFailure:
        return JobFailure(
            ExitCode.SELF_CHECK_FAILED,
            "PairMismatch",
            f"{self._url} is not the pair that was to be measured: {why}",
        )


def _body(inputs: Raw) -> list[str] | NDArray[Any]:
    """Texts as they are; of other items the numbers, flat."""
    if is_text(inputs):
        return cast(list[str], inputs.tolist())
    return np.ascontiguousarray(inputs.reshape(len(inputs), -1))


def _text(body: bytes) -> str:
    return body[:300].decode("utf-8", "replace")
