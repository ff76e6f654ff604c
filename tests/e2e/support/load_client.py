"""Searches without pause and checks every answer. Runs in a pod, as

    client.py URL CONNECTIONS K LIMIT

until each connection made LIMIT requests (0: no limit), or /tmp/stop appears.

One JSON line at the end: requests, failures, answers whose headers name two spaces, for each
release and query the distinct sets of neighbours that were answered, and for each release how many
answers came in each second.

Environment: PAUSE, seconds between two requests of a connection. REUSE, requests after which a
client opens another one (0: when the server ends it). HOST, the `Host` header, and
RELEASE, the release that is asked for by name: for a gateway. REFERENCES, where a release answers
for itself, such as `http://{release}-encoder:8080/…`: the first answer of a release makes the
client ask every query there, and each answer is compared; with REFERRED, `[first, end, step]`,
those.

DRAWINGS, a data set (NPZ): the queries are its drawings, and behind them the same ones in negative.
MIX, what is asked for: `[[first, end, weight], …]`, queries of which one is drawn. The file
/tmp/mix takes its place while the load runs.
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import os
import random
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import aiohttp

STOP = Path("/tmp/stop")
SEEN = Path("/tmp/seen")
MIX = Path("/tmp/mix")
PAUSE = float(os.environ.get("PAUSE", "0.01"))
HEADERS = {
    name: os.environ[variable]
    for variable, name in (("HOST", "Host"), ("RELEASE", "x-lockstep-release"))
    if variable in os.environ
}
REUSE = int(os.environ.get("REUSE", "0"))
REFERENCES = os.environ.get("REFERENCES", "")
REFERRED = json.loads(os.environ.get("REFERRED", "[0, null]"))
DRAWINGS = os.environ.get("DRAWINGS", "")
QUERIES = Path("/load/queries.json")
TRIES = 5
# Whoever started it may be gone: no load goes on for ever.
END = time.monotonic() + 1800


class Tally:
    """What happened, counted."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures: list[tuple[float, str]] = []
        self.mixed = 0
        self.answers: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.references: dict[str, dict[str, str]] = defaultdict(dict)
        self.seconds: dict[str, Counter[int]] = defaultdict(Counter)
        self.took: list[float] = []
        self.last_seen: dict[str, float] = {}

    def take(self, query: int, headers: Any, body: dict[str, Any]) -> bool:
        """Whether it is the first answer of its release."""
        release = headers["x-lockstep-release"]
        is_first = release not in self.last_seen
        if is_first:
            # For whoever waits until this release answers.
            (SEEN / release).touch()
        spaces = {headers["x-lockstep-space"], headers["x-lockstep-index-space"]}
        spaces |= {body["spaceID"], body["indexSpaceID"]}
        self.mixed += len(spaces) != 1 or body["release"] != release
        self.answers[release][str(query)].add(neighbours(body))
        self.last_seen[release] = time.time()
        self.seconds[release][int(time.time())] += 1
        return is_first

    def report(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "failed": len(self.failures),
            "failures": [text for _, text in self.failures[:200]],
            "failedAt": [when for when, _ in self.failures[:1000]],
            "mixed": self.mixed,
            "lastSeen": self.last_seen,
            "seconds": self.seconds,
            "milliseconds": quantiles(self.took),
            "references": self.references,
            "answers": {
                release: {query: sorted(found) for query, found in queries.items()}
                for release, queries in self.answers.items()
            },
        }


def neighbours(body: dict[str, Any]) -> str:
    return json.dumps(sorted(hit["id"] for hit in body["results"][0]))


def quantiles(took: list[float]) -> dict[str, float]:
    """Of all answers, failures apart."""
    ordered = sorted(took)
    parts = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    at = {name: ordered[int(part * len(ordered))] for name, part in parts.items() if ordered}
    return {name: round(1000 * seconds, 1) for name, seconds in at.items()}


class Choice:
    """Which query comes next: each in its turn or, where there is a mix, by chance."""

    def __init__(self) -> None:
        self._mix: list[list[float]] = json.loads(os.environ.get("MIX", "[]"))
        self._looked = 0.0

    def query(self, turn: int, count: int) -> int:
        if time.monotonic() - self._looked > 0.5:
            self._looked = time.monotonic()
            if MIX.exists():
                self._mix = json.loads(MIX.read_text())
        if not self._mix:
            return turn % count
        first, end, _ = random.choices(self._mix, weights=[part[2] for part in self._mix])[0]
        return random.randrange(int(first), int(end))


CHOICE = Choice()


def drawings(path: str) -> list[str]:
    """Data URIs of all drawings, and behind them the same ones in negative."""
    import numpy as np
    from PIL import Image

    with np.load(path, allow_pickle=False) as arrays:
        inputs = arrays["inputs"]
    found = []
    for pixels in (*inputs, *(255 - inputs)):
        buffer = io.BytesIO()
        Image.fromarray(pixels, mode="L").save(buffer, "PNG")
        found.append("data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode())
    return found


def stopped() -> bool:
    return STOP.exists()


def goes_on(made: int, limit: int) -> bool:
    return not stopped() and time.monotonic() < END and (limit == 0 or made < limit)


async def refer(release: str, queries: list[str], k: int, tally: Tally) -> None:
    """Asks every query at the release's own address, which nothing ever moves."""
    url = REFERENCES.format(release=release)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        for number, query in list(enumerate(queries))[slice(*REFERRED)]:
            if stopped():
                return
            for _ in range(TRIES):
                try:
                    async with session.post(url, json={"input": query, "k": k}) as answer:
                        if answer.status == 200:
                            body = await answer.json()
                            tally.references[release][str(number)] = neighbours(body)
                        break
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(0.2)


async def connection(
    url: str, queries: list[str], *, k: int, limit: int, tally: Tally, offset: int
) -> None:
    """One client with one connection at a time, kept as long as the server and REUSE allow."""
    turn = offset
    references: list[asyncio.Task[None]] = []
    while goes_on(turn - offset, limit):
        # Less than the servers wait: else both sides may end an idle connection at the same moment.
        connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=2)
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=HEADERS
        ) as session:
            for _ in range(REUSE) if REUSE else itertools.count():
                if not goes_on(turn - offset, limit):
                    break
                query = CHOICE.query(turn, len(queries))
                turn += 1
                first = await ask(session, url, queries, query=query, k=k, tally=tally)
                if first is not None and REFERENCES:
                    references.append(asyncio.create_task(refer(first, queries, k, tally)))
                await asyncio.sleep(PAUSE)
    await asyncio.gather(*references)


async def ask(
    session: aiohttp.ClientSession,
    url: str,
    queries: list[str],
    *,
    query: int,
    k: int,
    tally: Tally,
) -> str | None:
    """One request, counted. The release that answered, where this is its first answer."""
    tally.requests += 1
    begun = time.monotonic()
    try:
        async with session.post(url, json={"input": queries[query], "k": k}) as answer:
            if answer.status != 200:
                text = f"{answer.status} {(await answer.text())[:300]}"
                tally.failures.append((time.time(), text))
                return None
            is_first = tally.take(query, answer.headers, await answer.json())
            tally.took.append(time.monotonic() - begun)
            return str(answer.headers["x-lockstep-release"]) if is_first else None
    except (aiohttp.ClientError, TimeoutError, KeyError) as error:
        tally.failures.append((time.time(), repr(error)))
        return None


async def main(queries: list[str]) -> None:
    url, (connections, k, limit) = sys.argv[1], map(int, sys.argv[2:5])
    tally = Tally()
    await asyncio.gather(
        *(
            connection(url, queries, k=k, limit=limit, tally=tally, offset=offset)
            for offset in range(connections)
        )
    )
    print(json.dumps(tally.report()))


SEEN.mkdir(exist_ok=True)
asyncio.run(main(drawings(DRAWINGS) if DRAWINGS else json.loads(QUERIES.read_text())))
