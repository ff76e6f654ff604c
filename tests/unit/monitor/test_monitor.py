"""One monitor: what it takes, what it refuses, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep_core.drift.bet import Bet
from lockstep_core.drift.bet_wire import bet_to_wire
from lockstep_core.network.pages import Answer
from lockstep_core.protocol.monitoring import MAX_BETS, NO_FEATURES, SketchesAnswer
from lockstep_monitor import answers
from lockstep_monitor.monitor import Monitor
from tests.unit.monitor.support import (
    SPACE,
    config,
    datagram,
    features,
    hand_over,
    rows,
    short_folder,
)

pytestmark = pytest.mark.unit

FEATURES = features()


class World:
    """A monitor whose clock the test turns."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = 1000.0
        self.monitor = Monitor(config(directory, 10), clock=lambda: self.now)

    def handed(self, *given: Any, **fields: Any) -> World:
        hand_over(self.directory, *(given or (FEATURES,)), **fields)
        self.monitor.tick()
        return self

    def later(self, seconds: float = 10) -> World:
        self.now += seconds
        self.monitor.tick()
        return self

    def refused(self) -> dict[str, float]:
        found = self.monitor.metrics.refused.collect()[0].samples
        return {s.labels["reason"]: s.value for s in found if s.name.endswith("_total")}

    def sketches(self, query: str = "after=-1") -> SketchesAnswer:
        status, _, body = answers.sketches(self.monitor, query)
        assert status == 200, body
        return SketchesAnswer.model_validate_json(body)


@pytest.fixture
def world() -> Iterator[World]:
    with short_folder() as folder:
        yield World(folder)


def words(answer: Answer) -> tuple[int, str]:
    return answer[0], answer[2].decode()


def bet(key: str = "uid", **fields: Any) -> dict[str, Any]:
    witness = np.zeros(FEATURES.size, dtype=np.float32)
    witness[0] = 1
    said = {"role": "Query", "epsilon": 0.1} | fields
    made = Bet(key, said["role"], FEATURES.digest, 0, witness, 0.0, said["epsilon"], 0.1)
    return bet_to_wire(made)


def body(*bets: Any, digest: str = FEATURES.digest) -> bytes:
    return json.dumps({"featuresDigest": digest, "bets": list(bets)}).encode()


def test_before_an_encoder_spoke_there_is_nothing_and_words(world: World) -> None:
    world.monitor.tick()
    world.monitor.take(datagram(FEATURES, rows(3)))
    assert world.refused() == {"NoModel": 1}
    found = world.sketches()
    assert (found.space, found.features_digest, found.sketches) == (None, None, [])
    assert words(answers.baseline(world.monitor)) == (
        404,
        "no encoder has said yet what it serves\n",
    )
    assert answers.place_bets(world.monitor, body())[0] == 409


def test_an_artifact_of_before_is_told_in_words(world: World) -> None:
    world.handed(None, problem=NO_FEATURES)
    report = json.loads(answers.report(world.monitor)[2])
    assert report["problem"] == NO_FEATURES and report["space"] == SPACE
    assert words(answers.baseline(world.monitor)) == (404, f"{NO_FEATURES}\n")


def test_datagrams_become_the_sketch_of_their_window(world: World) -> None:
    world.handed()
    for seed in range(3):
        world.monitor.take(datagram(FEATURES, rows(20, seed)))
    assert world.sketches().sketches == [] and world.sketches().open_window == 100
    found = world.later().sketches()
    (sketch,) = found.sketches
    assert (found.space, found.features_digest, found.open_window) == (SPACE, FEATURES.digest, 101)
    assert sketch["n"] == 60 and world.sketches("after=100").sketches == []
    page = answers.metrics(world.monitor)[2].decode()
    assert 'lockstep_monitor_embeddings_total{role="Query"} 60.0' in page
    assert 'lockstep_monitor_window_embeddings{role="Query"} 60.0' in page
    assert "lockstep_monitor_open_window 101.0" in page


def test_datagrams_that_are_not_of_this_model_are_counted_and_told(world: World) -> None:
    world.handed()
    other = features(seed=5)
    world.monitor.take(b"nonsense")
    world.monitor.take(datagram(other, rows(2)))
    wide = rows(2, dimension=32)
    world.monitor.take(datagram(FEATURES, wide))
    assert world.refused() == {"Malformed": 1, "Features": 1, "Dimension": 1}
    told = json.loads(answers.report(world.monitor)[2])["lastRefusal"]
    assert told == "embeddings have 32 numbers, the features are of 16"
    assert world.later().sketches().sketches == []


def test_rows_that_are_no_embeddings_are_counted(world: World) -> None:
    world.handed()
    given = rows(6)
    given[0, 0], given[1] = np.nan, 0
    given[2] *= 3
    given[3] = given[4]
    world.monitor.take(datagram(FEATURES, given))
    world.later()
    (closed,) = world.monitor.windows.last(1)  # type: ignore[union-attr]
    assert closed.sketch.n == 2 and closed.sketch.counters.duplicates == 1
    page = answers.metrics(world.monitor)[2].decode()
    for reason in ("nan", "zero", "norm"):
        assert f'lockstep_monitor_invalid_total{{reason="{reason}",role="Query"}} 1.0' in page


def test_an_encoder_that_begins_again_goes_on_in_the_same_window(world: World) -> None:
    world.handed()
    world.monitor.take(datagram(FEATURES, rows(5, 1)))
    world.handed()
    world.monitor.take(datagram(FEATURES, rows(5, 2), process=9))
    assert world.later().sketches().sketches[0]["n"] == 10


def test_features_that_are_not_what_was_said_are_refused(world: World) -> None:
    hand_over(world.directory, FEATURES)
    (path,) = world.directory.glob("model/*/features.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    world.monitor.tick()
    assert world.monitor.windows is None
    assert "sha256" in (world.monitor.watched.problem or "")


@pytest.mark.parametrize(
    "query", ["after=x", "after=--1", "after=", "after=1e3", "after=" + "9" * 40]
)
def test_a_window_that_is_no_number_is_refused(world: World, query: str) -> None:
    assert words(answers.sketches(world.handed().monitor, query))[0] == 422


def test_bets_are_taken_with_the_window_that_they_begin_in(world: World) -> None:
    world.handed()
    status, text = words(answers.place_bets(world.monitor, body(bet(), bet(role="Embedding"))))
    assert status == 200 and {each["fromWindow"] for each in json.loads(text)["bets"]} == {101}
    world.later().monitor.take(datagram(FEATURES, rows(20)))
    (sketch,) = world.later().sketches().sketches
    assert [each["n"] for each in _bets_of(sketch)] == [20]


def _bets_of(sketch: dict[str, Any]) -> list[dict[str, Any]]:
    found = sketch["bets"]
    return list(found.values()) if isinstance(found, dict) else found


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        (b"", 422, "JSON"),
        (b"[" * 100_000, 422, "recursion"),
        (b'{"featuresDigest": 3}', 422, "featuresDigest"),
        (body(digest="sha256:" + "0" * 64), 409, "this pod watches with"),
        (body(*[bet(str(n)) for n in range(MAX_BETS + 1)]), 422, "at most 8"),
        (body(bet() | {"epsilon": 0.2}), 422, "`digest` is"),
        (body(bet() | {"epsilon": -1}), 422, "bets.0"),
        (body(bet() | {"witness": "AAAA"}), 422, "`witness` has 3 bytes"),
        (body(bet() | {"more": 1}), 422, "bets.0"),
        (body(bet(), bet(epsilon=0.2)), 422, "bets twice on Query"),
        (body(bet()).replace(b"0.1", b"NaN"), 422, "bets.0"),
        (body("text"), 422, "bets.0"),
    ],
)
def test_bets_that_are_none_change_nothing(
    world: World, sent: bytes, status: int, told: str
) -> None:
    world.handed()
    found = words(answers.place_bets(world.monitor, sent))
    assert found[0] == status and told in found[1]
    assert world.monitor.windows is not None and world.monitor.windows.bets == 0


def test_a_witness_of_another_length_is_refused(world: World) -> None:
    world.handed()
    short = Bet(
        "uid",
        "Query",
        FEATURES.digest,
        0,
        np.ones(1, dtype=np.float32).repeat(2) / 2,
        0.0,
        0.1,
        0.1,
    )
    found = words(answers.place_bets(world.monitor, body(bet_to_wire(short))))
    assert found == (422, "`bets.0.witness` has 2 numbers, the features are 64\n")


def test_the_held_out_baseline_is_handed_on_as_it_is(world: World) -> None:
    world.handed(FEATURES, baseline=b'{"n": 3}')
    assert answers.baseline(world.monitor)[::2] == (200, b'{"n": 3}')
    assert json.loads(answers.report(world.monitor)[2])["heldOutBaseline"] is True


def test_the_report_names_windows_and_their_counts(world: World) -> None:
    world.handed().monitor.take(datagram(FEATURES, rows(20), observed=20, sampled=20))
    (window,) = json.loads(answers.report(world.later().monitor)[2])["windows"]
    assert (window["window"], window["begun"], window["n"]) == (100, "1970-01-01T00:16:40Z", 20)
