"""`kubectl lockstep recall`: whom it asks, what it adds up, and how it says so."""

from __future__ import annotations

import io
import json
import sys
from typing import Any, cast

import pytest
from rich.console import Console

from lockstep_core.protocol.recall import RecallAnswer
from lockstep_kubectl import __main__ as program
from lockstep_kubectl.api import Api, ApiError, Object
from lockstep_kubectl.arguments import parser
from lockstep_kubectl.recall import recall_table, rows_of

pytestmark = pytest.mark.unit

BUILD = "sha256:" + "1" * 64


def window(number: int, n: int, mean: float, index: str = "songs") -> dict[str, Any]:
    sums = {"n": n, "mean": mean, "sumsq": n * mean * mean, "hits": 0, "expected": 10 * n}
    return {"window": number, "index": index, "build": BUILD, "k": 10, **sums}


def answer(*windows: dict[str, Any], release: str = "glyphs-r1", **fields: Any) -> dict[str, Any]:
    told = {
        "release": release,
        "space": "0123456789ab",
        "windowSeconds": 300,
        "openWindow": 2000,
        "perMinute": 60,
        "k": 10,
        "indexes": ["songs", "words"],
        "windows": list(windows),
    }
    return told | fields


class Cluster:
    """Pods of one model, and what each answers; no test."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def list(self, path: str, selector: str | None = None) -> list[Object]:
        assert selector == "lockstep.dev/model=glyphs,lockstep.dev/component=encoder"
        labels = {"lockstep.dev/release": "glyphs-r1"}
        return [
            {"metadata": {"name": name, "labels": labels}, "status": {"phase": "Running"}}
            for name in self.answers
        ]

    def get(self, path: str) -> Object:
        return {"metadata": {"name": "glyphs", "namespace": "shop"}}

    def recall(self, namespace: str, pod: str) -> Object:
        found = self.answers[pod]
        if isinstance(found, ApiError):
            raise found
        return cast(Object, found)


def run(cluster: Cluster, *words: str) -> int:
    arguments = parser().parse_args(["recall", "glyphs", "-n", "shop", *words])
    return program._run(cast(Api, cluster), arguments, Console(file=sys.stdout, width=100))


def test_pods_and_windows_add_up_by_index() -> None:
    told = [
        RecallAnswer.model_validate(answer(window(1990, 100, 1.0), window(1991, 100, 0.9))),
        RecallAnswer.model_validate(
            answer(window(1991, 200, 0.95), open=[window(2000, 10, 0.5, "words")])
        ),
    ]
    songs, words = rows_of(told)
    assert (songs.release, songs.index, songs.k, songs.n) == ("r1", "songs", 10, 400)
    assert songs.recall == pytest.approx(0.95) and songs.lower < 0.95 < songs.upper
    assert songs.since.timestamp() == 1990 * 300 and words.n == 10
    (newest,) = rows_of(told, index="songs", queries=250)
    assert newest.n == 300 and newest.since.timestamp() == 1991 * 300
    (everything,) = rows_of(told, index="songs", queries=9999)
    assert everything.n == 400


def test_the_table_has_number_interval_searches_and_since_when() -> None:
    told = [RecallAnswer.model_validate(answer(window(1990, 400, 0.987)))]
    out = io.StringIO()
    Console(file=out, width=100).print(recall_table(rows_of(told)))
    head, row = out.getvalue().splitlines()
    titles = [title.strip() for title in head.split("  ") if title]
    assert titles[:4] == ["RELEASE", "INDEX", "K", "RECALL"]
    assert titles[4:] == ["95% INTERVAL", "SEARCHES", "SINCE"]
    assert row.split()[:4] == ["r1", "songs", "10", "0.987"] and "1970-01-07 21:50Z" in row


def test_a_pod_that_does_not_answer_is_told_beside_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster = Cluster(
        a=answer(window(1990, 400, 0.987), problem="index words does not answer (TimeoutError)"),
        b=ApiError(404, "the server could not find the requested resource"),
        c=ApiError(503, "error trying to reach service"),
        d=answer(window(1990, 400, 0.1), release="glyphs-r2"),
        e={},
    )
    assert run(cluster) == 0
    said = capsys.readouterr()
    assert "0.987" in said.out and "0.100" not in said.out
    assert said.err.splitlines() == [
        "index words does not answer (TimeoutError)",
        "pod b does not measure it: its release was made before it could",
        "pod c: error trying to reach service",
        "pod d is of glyphs-r2 by now",
        "pod e gave no recall",
    ]


def test_json_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Cluster(a=answer(window(1990, 400, 0.987))), "-o", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["index"], row["n"], row["since"]) == ("songs", 400, "1970-01-07T21:50:00+00:00")


def test_nothing_is_told_as_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Cluster(a=answer())) == 0
    assert capsys.readouterr().out == "No live search was measured yet.\n"
    assert run(Cluster(a=answer(perMinute=0))) == 0
    assert "`spec.monitoring.recall.perMinute` is 0" in capsys.readouterr().out
    assert run(Cluster()) == 1
    assert "no encoder pod of glyphs runs" in capsys.readouterr().err
    with pytest.raises(program.Unknown, match="there are songs, words"):
        run(Cluster(a=answer()), "--index", "films")


@pytest.mark.parametrize("wrong", ["0", "-1", "many"])
def test_a_count_is_a_number(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["recall", "glyphs", f"--queries={wrong}"])
    assert "must be a number, 1 or more" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["recall", "--help"])
    said = capsys.readouterr().out
    assert "--queries 700" in said and "get pods/proxy" in said and "recall-low.md" in said
    assert max(map(len, said.splitlines())) <= 100
