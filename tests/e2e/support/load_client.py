"""Searches without pause and checks every answer. Runs in a pod, as

    client.py URL CONNECTIONS K LIMIT

until each connection made LIMIT requests (0: no limit), or /tmp/stop appears.

One JSON line at the end: requests, failures, answers whose headers name two spaces, and for each
release and query the distinct sets of neighbours that were answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp

STOP = Path("/tmp/stop")
SEEN = Path("/tmp/seen")


class Tally:
    """What happened, counted."""

    def __init__(self) -> None:
        self.requests = 0
        self.failures: list[str] = []
        self.mixed = 0
        self.answers: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.last_seen: dict[str, float] = {}

    def take(self, query: int, headers: Any, body: dict[str, Any]) -> None:
        release = headers["x-lockstep-release"]
        if release not in self.last_seen:
            # For whoever waits until this release answers.
            (SEEN / release).touch()
        spaces = {headers["x-lockstep-space"], headers["x-lockstep-index-space"]}
        spaces |= {body["spaceID"], body["indexSpaceID"]}
        self.mixed += len(spaces) != 1 or body["release"] != release
        ids = sorted(hit["id"] for hit in body["results"][0])
        self.answers[release][str(query)].add(json.dumps(ids))
        self.last_seen[release] = time.time()

    def report(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "failed": len(self.failures),
            "failures": self.failures[:5],
            "mixed": self.mixed,
            "lastSeen": self.last_seen,
            "answers": {
                release: {query: sorted(found) for query, found in queries.items()}
                for release, queries in self.answers.items()
            },
        }


def goes_on(made: int, limit: int) -> bool:
    return not STOP.exists() and (limit == 0 or made < limit)


async def connection(
    url: str, queries: list[str], *, k: int, limit: int, tally: Tally, offset: int
) -> None:
    """One client with one keep-alive connection, as long as the server keeps it."""
    connector = aiohttp.TCPConnector(limit=1)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        turn = offset
        while goes_on(turn - offset, limit):
            query = turn % len(queries)
            turn += 1
            tally.requests += 1
            try:
                async with session.post(url, json={"input": queries[query], "k": k}) as answer:
                    if answer.status != 200:
                        tally.failures.append(f"{answer.status} {(await answer.text())[:300]}")
                        continue
                    tally.take(query, answer.headers, await answer.json())
            except (aiohttp.ClientError, TimeoutError, KeyError) as error:
                tally.failures.append(repr(error))
            await asyncio.sleep(float(os.environ.get("PAUSE", "0.01")))


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
asyncio.run(main(json.loads(Path("/load/queries.json").read_text())))
