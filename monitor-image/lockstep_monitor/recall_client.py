"""Asks an index server for neighbours, through it and exactly, and believes only the build that was
named: no answer of another one is counted."""

from __future__ import annotations

import base64
import http.client
import json
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from lockstep_core.protocol import headers
from lockstep_core.protocol.http import VectorSearchRequest, VectorSearchResponse
from lockstep_core.protocol.monitoring import RecallIndex

TIMEOUT_SECONDS = 10.0
MAX_BYTES = 4 * 1024 * 1024
_CHUNK = 64 * 1024


class Refused(Exception):
    """Nothing to count. `reason` is a label of the metric."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Found(NamedTuple):
    """One neighbour."""

    id: str
    distance: float


class _Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def neighbours(
    index: RecallIndex, query: NDArray[np.float32], k: int, *, exact: bool
) -> list[Found]:
    """The `k` nearest of `query` [dimension]. Raises `Refused`."""
    row = np.ascontiguousarray(query, dtype="<f4").tobytes()
    request = VectorSearchRequest(vectors=base64.b64encode(row).decode(), count=1, k=k, exact=exact)
    reply = _ask(index, json.dumps(request.to_wire()).encode())
    if reply.status == 409:
        raise Refused("Pairing", f"index {index.name} refused: {_words(reply.body)}")
    if reply.status == 429:
        raise Refused("Overloaded", f"index {index.name} has no room")
    if reply.status != 200:
        said = f"index {index.name} answered {reply.status}: {_words(reply.body)}"
        raise Refused("Unavailable" if reply.status >= 500 else "Malformed", said)
    for header, expected in (
        (headers.INDEX_SPACE, index.space_id),
        (headers.BUILD, index.build_digest),
    ):
        if (value := reply.headers.get(header)) != expected:
            said = f"index {index.name} says `{header}: {value or 'nothing'}`, not {expected}"
            raise Refused("Pairing", said)
    try:
        (found,) = VectorSearchResponse.model_validate_json(reply.body).results
    except (ValidationError, ValueError) as error:
        said = f"index {index.name} gave no neighbours ({type(error).__name__})"
        raise Refused("Malformed", said) from error
    return [Found(hit.id, hit.distance) for hit in found]


def _ask(index: RecallIndex, body: bytes) -> _Reply:
    """On a connection of its own: a Service balances per connection."""
    url = urlsplit(index.url)
    sent = {
        "content-type": "application/json",
        "connection": "close",
        headers.EXPECTED_SPACE: index.space_id,
        headers.EXPECTED_BUILD: index.build_digest,
        headers.REPLAY: "recall",
        headers.DEADLINE: str(int(TIMEOUT_SECONDS * 1000)),
    }
    until = time.monotonic() + TIMEOUT_SECONDS
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", url.path.rstrip("/") + "/v1/search", body, sent)
        response = connection.getresponse()
        return _Reply(response.status, response.headers, _read(response, until))
    except (OSError, http.client.HTTPException) as error:
        # The words of the system name ports, which change from try to try.
        said = f"index {index.name} does not answer ({type(error).__name__})"
        raise Refused("Unavailable", said) from error
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, until: float) -> bytes:
    """Bounded in bytes and, between two reads, in time."""
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > MAX_BYTES:
            raise http.client.HTTPException("too long")
        if time.monotonic() > until:
            raise TimeoutError
    return bytes(body)


def _words(body: bytes) -> str:
    try:
        said: Any = json.loads(body)
        return str(said["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return body[:100].decode("utf-8", "replace") or "no body"
