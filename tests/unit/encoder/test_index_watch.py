"""A candidate without its index: it leaves the entry point to stable, and only to stable."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from lockstep_core.protocol.config import CanaryConfig, IndexEndpoint
from lockstep_core.protocol.environment import CANARY_VARIABLE
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.serving.lifecycle import Lifecycle
from lockstep_encoder.index_client import IndexClient, IndexUnavailable, PairingRefused
from lockstep_encoder.index_watch import ASKED_AT_ONCE, HOLD_SECONDS, IndexWatch
from tests.unit.encoder.support import (
    BUILD,
    INDEX_SERVER,
    PublishedModel,
    Running,
    Spawn,
    encoder_arguments,
    encoder_config,
    endpoint,
    index_config,
    letters,
)

pytestmark = pytest.mark.unit

STABLE, CANDIDATE = "letters-r1", "letters-r2"
CHECK = "index letters"


class Network:
    """What the watch reaches: an index, and the entry point with whoever stands behind it."""

    def __init__(self, *answers: str | None) -> None:
        self.error: Exception | None = None
        self.behind = list(answers)
        self.asked = 0

    async def ask_ready(self, _index: IndexEndpoint) -> None:
        if self.error is not None:
            raise self.error

    async def who_answers(self, _url: str) -> str | None:
        self.asked += 1
        return self.behind[self.asked % len(self.behind)]


class Watched:
    def __init__(self, network: Network) -> None:
        self.now, self.network, self.lifecycle = 100.0, network, Lifecycle()
        self.lifecycle.passed("start")
        self._watch = IndexWatch(
            CanaryConfig(beside=STABLE, entry_url="http://letters.shop.svc:8080"),
            [IndexEndpoint(name="letters", url="http://i", build_digest=BUILD, space_id="a" * 12)],
            cast(IndexClient, network),
            self.lifecycle,
            clock=lambda: self.now,
        )

    def look(self, after: float = 0.0) -> dict[str, str]:
        self.now += after
        asyncio.run(self._watch.look())
        return self.lifecycle.waiting


@pytest.mark.parametrize(
    "error", [IndexUnavailable("index letters does not answer"), PairingRefused("Build", "other")]
)
def test_it_leaves_when_the_index_is_gone_for_a_while_and_comes_back_with_it(
    error: Exception,
) -> None:
    watched = Watched(Network(STABLE))
    watched.network.error = error
    assert watched.look() == {}, "a blip is no reason to go"
    assert watched.look(HOLD_SECONDS - 0.1) == {}
    waiting = watched.look(0.1)
    assert list(waiting) == [CHECK] and waiting[CHECK].endswith("letters-r1 answers instead")
    watched.network.error = None
    assert watched.look(1) == {}
    watched.network.error = error
    assert watched.look() == {}, "the time begins anew"


@pytest.mark.parametrize("answers", [(None,), (CANDIDATE,), ("letters-r3",)])
def test_it_stays_where_stable_does_not_answer(answers: tuple[str | None, ...]) -> None:
    """Promoted, or stable is gone: a clear 503 is better than a refused connection."""
    watched = Watched(Network(*answers))
    watched.network.error = IndexUnavailable("gone")
    watched.look()
    assert watched.look(HOLD_SECONDS) == {}


def test_it_comes_back_when_stable_goes_while_it_is_away() -> None:
    watched = Watched(Network(STABLE))
    watched.network.error = IndexUnavailable("gone")
    watched.look()
    assert watched.look(HOLD_SECONDS) != {}
    watched.network.behind = [None]
    assert watched.look(1) == {}


def test_connections_that_reach_the_candidate_itself_are_tried_again() -> None:
    watched = Watched(Network(STABLE, *[CANDIDATE] * (ASKED_AT_ONCE - 1)))
    watched.network.error = IndexUnavailable("gone")
    watched.look()
    assert watched.look(HOLD_SECONDS) != {}
    assert 1 < watched.network.asked <= ASKED_AT_ONCE


def _until(holds: Callable[[], bool], what: str) -> None:
    for _ in range(400):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError(what)


def _candidate(
    spawn: Spawn, root: Path, model: PublishedModel, folder: Path, **told: Any
) -> tuple[Running, Running]:
    index = spawn([str(INDEX_SERVER)], index_config(model, folder))
    config = encoder_config(root, model, endpoint(index.url, model), release=CANDIDATE)
    canary = {CANARY_VARIABLE: json.dumps(told)} if told else {}
    return index, spawn(encoder_arguments(), config, **canary).until_ready()


@pytest.mark.programs
def test_a_candidate_follows_its_index_while_stable_answers(
    spawn: Spawn, store_root: Path, model: PublishedModel, tmp_path: Path
) -> None:
    stable = spawn(encoder_arguments(), encoder_config(store_root, model)).until_ready()
    index, encoder = _candidate(
        spawn, store_root, model, tmp_path, beside=STABLE, entryUrl=stable.url
    )
    port = index.port
    index.stop()
    _until(lambda: CHECK in encoder.waiting(), "it never left")
    again = spawn([str(INDEX_SERVER), str(port)], index_config(model, tmp_path))
    _until(lambda: not encoder.waiting(), "it never came back")
    again.stop()
    _until(lambda: CHECK in encoder.waiting(), "it never left again")
    stable.stop()
    _until(lambda: not encoder.waiting(), "nobody answers instead, and it stays away")


@pytest.mark.programs
def test_a_search_without_an_index_ends_its_connection(
    spawn: Spawn, store_root: Path, model: PublishedModel, tmp_path: Path
) -> None:
    """A client that kept its connection would stay with an encoder that cannot answer."""
    index, encoder = _candidate(spawn, store_root, model, tmp_path)
    query = {"input": letters()[0][0].ravel().tolist(), "k": 2}
    with httpx.Client() as http:
        good = http.post(f"{encoder.url}/v1/search", json=query)
        assert good.status_code == 200 and "connection" not in good.headers
        index.stop()
        lost = http.post(f"{encoder.url}/v1/search", json=query)
    assert (lost.status_code, lost.headers["retry-after"]) == (503, "1")
    assert lost.headers["connection"] == "close"


@pytest.mark.programs
def test_nonsense_about_a_canary_is_refused_by_name(
    spawn: Spawn, store_root: Path, model: PublishedModel
) -> None:
    told = {CANARY_VARIABLE: '{"beside": "Letters"}'}
    ended = spawn(encoder_arguments(), encoder_config(store_root, model), **told)
    assert ended.process.wait(timeout=60) == ExitCode.BAD_CONFIG
    assert CANARY_VARIABLE in ended.result().message and "beside" in ended.result().message
