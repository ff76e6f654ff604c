"""The visitors of the demo: what they count, over real HTTP."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.glyphs.visitors import Question, Tally, ask, questions, serve

pytestmark = pytest.mark.unit

ME = Question(b"{}", "U+4E00/a", "一")
HITS = [{"id": "U+4E00/a", "label": "一"}, {"id": "U+4E00/b", "label": "一"}]
R1 = {"release": "glyphs-r1", "spaceID": "aaa", "indexSpaceID": "aaa", "results": [HITS]}


def headers(release: str = "glyphs-r1", space: str = "aaa", index: str = "aaa") -> dict[str, str]:
    return {
        "x-lockstep-release": release,
        "x-lockstep-space": space,
        "x-lockstep-index-space": index,
    }


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def entry(status: int, sent: dict[str, str], body: Any) -> ThreadingHTTPServer:
    class Entry(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in sent.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """No lines among those of the tests."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Entry)


def asked(status: int, sent: dict[str, str], body: Any) -> dict[str, Any]:
    tally = Tally()
    with running(entry(status, sent, body)) as url:
        ask(url, ME, tally)
    return tally.to_wire()


def test_an_answer_counts_for_the_release_that_its_header_names() -> None:
    assert asked(200, headers(), R1) == {
        "answers": {"glyphs-r1": 1},
        "failed": 0,
        "mixed": 0,
        "right": 1,
        "lastFailure": "",
    }


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (headers(index="bbb"), R1),
        (headers(space="bbb", index="bbb"), R1),
        (headers(), R1 | {"indexSpaceID": "bbb"}),
        (headers("glyphs-r2"), R1),
    ],
)
def test_an_answer_of_two_spaces_or_two_releases_is_mixed(
    sent: dict[str, str], body: dict[str, Any]
) -> None:
    assert asked(200, sent, body)["mixed"] == 1


@pytest.mark.parametrize(
    ("status", "sent", "body"), [(503, headers(), R1), (200, {}, R1), (200, headers(), [])]
)
def test_what_is_no_answer_is_a_failure(status: int, sent: dict[str, str], body: Any) -> None:
    found = asked(status, sent, body)
    assert (found["answers"], found["failed"]) == ({}, 1)
    assert found["lastFailure"]


def test_nobody_there_is_a_failure() -> None:
    tally = Tally()
    with running(entry(200, headers(), R1)) as url:
        pass
    ask(url, ME, tally)
    assert tally.to_wire()["failed"] == 1


def test_the_counts_are_told_over_http() -> None:
    tally = Tally()
    tally.take(headers(), R1, ME)
    with running(serve(tally, 0)) as url, urllib.request.urlopen(url + "counts") as answer:
        assert json.load(answer) == tally.to_wire()


@pytest.mark.parametrize(
    ("hits", "right"),
    [
        (HITS, True),
        (HITS[1:], True),
        (HITS[:1], False),
        ([], False),
        ([HITS[0], {"id": "U+4E8C/a", "label": "二"}, HITS[1]], False),
    ],
)
def test_an_answer_is_right_by_the_nearest_drawing_but_the_one_that_was_asked(
    hits: list[dict[str, str]], right: bool
) -> None:
    assert ME.is_answered_by(hits) is right


def test_questions_are_all_drawings_of_the_set_in_an_order_of_their_seed(tmp_path: Path) -> None:
    drawings = np.random.default_rng(0).integers(0, 256, (5, 32, 32), dtype=np.uint8)
    ids = [f"U+4E0{row}/a" for row in range(5)]
    labels = [chr(0x4E00 + row) for row in range(5)]
    np.savez(tmp_path / "set.npz", inputs=drawings, ids=ids, labels=labels)

    def first(count: int, seed: int) -> list[str]:
        return [each.id for each in islice(questions(tmp_path / "set.npz", seed), count)]

    assert sorted(first(5, 0)) == ids
    assert sorted(first(10, 0)[5:]) == ids
    assert first(10, 0) != first(10, 1)
    found = next(questions(tmp_path / "set.npz", 0))
    body = json.loads(found.body)
    assert body["k"] == 5
    assert body["input"].startswith("data:image/png;base64,")
    assert found.label == labels[ids.index(found.id)]
