"""Visitors of the demo: search with drawings of the data set, and count who answered.

    visitors.py --url http://glyphs:8080/v1/search --data /artifacts/datasets/glyphs.npz

Runs in a pod, so it meets the Service as users do. Each request is a connection of its own: the
share of the answers is then the share of the pods. `GET /counts` on the port tells the tally; with
it how often the nearest other drawing was one of the same character.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TIMEOUT_SECONDS = 10.0
SPACES = ("x-lockstep-space", "x-lockstep-index-space")


@dataclass(frozen=True)
class Question:
    """The body of a search with one drawing, the drawing's own id, and its character."""

    body: bytes
    id: str = ""
    label: str = ""

    def is_answered_by(self, hits: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the nearest drawing but this one itself is of the same character."""
        others = (hit for hit in hits if hit["id"] != self.id)
        nearest = next(others, None)
        return nearest is not None and nearest["label"] == self.label


class Tally:
    """Answers by the release that their header names, and what must never be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[str] = Counter()
        self._failed = self._mixed = self._right = 0
        self._last_failure = ""

    def take(self, headers: Mapping[str, str], body: Mapping[str, Any], question: Question) -> None:
        """Counts an answer. It is mixed when any of its spaces, or its release, is not the other.

        Raises LookupError or TypeError when the answer does not say who gave it.
        """
        # A dict: of a header that is not there, the headers of urllib say None.
        lowered = {name.lower(): value for name, value in headers.items()}
        release = lowered["x-lockstep-release"]
        spaces = {*(lowered[name] for name in SPACES), body["spaceID"], body["indexSpaceID"]}
        with self._lock:
            self._answers[release] += 1
            self._mixed += len(spaces) != 1 or body["release"] != release
            self._right += question.is_answered_by(body["results"][0])

    def fail(self, error: Exception) -> None:
        with self._lock:
            self._failed += 1
            self._last_failure = repr(error)

    def to_wire(self) -> dict[str, Any]:
        with self._lock:
            return {
                "answers": dict(self._answers),
                "failed": self._failed,
                "mixed": self._mixed,
                "right": self._right,
                "lastFailure": self._last_failure,
            }


def questions(path: Path, seed: int) -> Iterator[Question]:
    """The drawings of the set, each once, in a random order; and again in another, for ever."""
    with np.load(path, allow_pickle=False) as arrays:
        inputs, labels, ids = arrays["inputs"], arrays["labels"], arrays["ids"]
    random = np.random.default_rng(seed)
    while True:
        for row in random.permutation(len(inputs)):
            buffer = io.BytesIO()
            Image.fromarray(inputs[row], mode="L").save(buffer, "PNG")
            uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
            body = json.dumps({"input": uri, "k": 5}).encode()
            yield Question(body, str(ids[row]), str(labels[row]))


def ask(url: str, question: Question, tally: Tally) -> None:
    """One search, on a connection of its own."""
    headers = {"content-type": "application/json"}
    asked = urllib.request.Request(url, data=question.body, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_SECONDS) as answer:
            tally.take(answer.headers, json.load(answer), question)
    except (OSError, HTTPException, LookupError, TypeError, ValueError) as error:
        tally.fail(error)


def visit(url: str, asked: Iterator[Question], tally: Tally, *, pause: float) -> None:
    """One visitor, who asks for ever."""
    for question in asked:
        ask(url, question, tally)
        time.sleep(pause)


class DualStackServer(ThreadingHTTPServer):
    """Listens on both families where there are two: a pod may have an IPv6 address alone."""

    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def serve(tally: Tally, port: int) -> ThreadingHTTPServer:
    """Tells the tally to whoever asks."""

    class Counts(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(tally.to_wire()).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing: a look at the counts is no news."""

    return DualStackServer(("", port), Counts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--url", required=True, help="where to search")
    parser.add_argument("--data", type=Path, required=True, help="the .npz file of the drawings")
    parser.add_argument("--visitors", type=int, default=3, help="who ask at the same time (3)")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between requests (0.05)")
    parser.add_argument("--port", type=int, default=9100, help="where the counts are (9100)")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    tally = Tally()
    for number in range(arguments.visitors):
        work = (arguments.url, questions(arguments.data, seed=number), tally)
        options = {"pause": arguments.pause}
        threading.Thread(target=visit, args=work, kwargs=options, daemon=True).start()
    serve(tally, arguments.port).serve_forever()


if __name__ == "__main__":
    main()
