"""Asks for spaces and builds that are not there; prints the status codes as JSON. Runs in a pod."""

from __future__ import annotations

import base64
import json
import struct
import urllib.error
import urllib.request
from typing import Any

ENTRY = "http://glyphs:8080/v1/search"
INDEX = "http://glyphs-r2-glyphs:8080/v1/search"
DRAWING = {"input": [0] * 1024, "k": 1}
VECTOR = base64.b64encode(struct.pack("<32f", 1.0, *[0.0] * 31)).decode()
VECTORS = {"vectors": VECTOR, "count": 1, "k": 1}


def status(url: str, headers: dict[str, str], body: dict[str, Any]) -> int:
    """The status code of a POST."""
    headers = {"content-type": "application/json", **headers}
    try:
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


print(
    json.dumps(
        [
            status(ENTRY, {"x-lockstep-expected-space": "0" * 12}, DRAWING),
            status(INDEX, {"x-lockstep-expected-space": "0" * 12}, VECTORS),
            status(INDEX, {"x-lockstep-expected-build": "sha256:" + "0" * 64}, VECTORS),
            status(ENTRY, {}, DRAWING),
        ]
    )
)
