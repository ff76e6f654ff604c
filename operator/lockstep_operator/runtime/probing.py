"""HTTP questions about a candidate: its pods' own metrics, and one number of a Prometheus server.

Every call has a timeout and a limit on what it reads. What goes wrong is a `ProbeError`, whose
words stay the same while the cause does: they are shown in a status.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson

from lockstep_operator.decide.snapshot.measurements import Answer, Query, Scrape, Target
from lockstep_operator.runtime.counting import Counters, parse

TIMEOUT_SECONDS = 5.0
MAX_BYTES = 2 * 1024 * 1024
MAX_WORDS = 300


class ProbeError(Exception):
    """Nothing was measured, and why."""


class Prober:
    """One connection pool. Close it at the end."""

    def __init__(
        self, *, timeout: float = TIMEOUT_SECONDS, limit: int = MAX_BYTES, connections: int = 32
    ) -> None:
        self._seconds = timeout
        self._limit = limit
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def scrape(self, what: Scrape) -> dict[str, Counters]:
        """The counters of all pods, by uid. Raises ProbeError when one of them cannot be read."""
        if not what.targets:
            raise ProbeError(f"no encoder pod of {what.release} is ready")
        readings = await asyncio.gather(
            *(self._counters(target, what.release) for target in what.targets)
        )
        return {t.uid: counters for t, counters in zip(what.targets, readings, strict=True)}

    async def _counters(self, target: Target, release: str) -> Counters:
        who = f"pod {target.pod} at {target.url}"
        headers = {"Accept": "text/plain; version=0.0.4"}
        status, body = await self._ask("GET", target.url, who, headers=headers)
        if status != 200:
            raise ProbeError(f"{who} answered {status}")
        try:
            counters = parse(body.decode())
        except ValueError as error:
            raise ProbeError(f"{who} gave no metrics: {str(error)[:MAX_WORDS]}") from error
        if counters.release != release:
            # The address may already be another pod's.
            raise ProbeError(f"{who} is {counters.release or 'no encoder'}, not {release}")
        return counters

    async def query(self, what: Query) -> Answer:
        """The elements of an instant query. Raises ProbeError for anything but numbers."""
        url = f"{what.url.rstrip('/')}/api/v1/query"
        who = f"Prometheus at {what.url}"
        status, body = await self._ask("POST", url, who, data={"query": what.promql})
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ProbeError(f"{who} answered {status} without JSON") from error
        if not isinstance(answer, dict) or answer.get("status") != "success":
            said = answer.get("error") if isinstance(answer, dict) else None
            detail = f": {str(said)[:MAX_WORDS]}" if said else ""
            raise ProbeError(f"{who} answered {status}{detail}")
        try:
            return Answer(_values(answer["data"]))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ProbeError(f"{who} gave no scalar and no vector of numbers") from error

    def _opened(self) -> aiohttp.ClientSession:
        """The pool; it needs a running loop, so it opens with the first question."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                timeout=aiohttp.ClientTimeout(total=self._seconds),
            )
        return self._session

    async def _ask(self, method: str, url: str, who: str, **options: Any) -> tuple[int, bytes]:
        try:
            async with self._opened().request(
                method, url, allow_redirects=False, **options
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_chunked(64 * 1024):
                    body += chunk
                    if len(body) > self._limit:
                        raise ProbeError(f"{who} gave more than {self._limit:,} bytes")
                return response.status, bytes(body)
        except TimeoutError as error:
            raise ProbeError(f"{who} gave no answer within {self._seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Ports and counters in the words of the library would change from look to look.
            raise ProbeError(f"{who} cannot be asked ({type(error).__name__})") from error


def _values(data: dict[str, Any]) -> tuple[float, ...]:
    if data["resultType"] == "scalar":
        return (float(data["result"][1]),)
    if data["resultType"] != "vector":
        raise ValueError(data["resultType"])
    return tuple(float(element["value"][1]) for element in data["result"])
