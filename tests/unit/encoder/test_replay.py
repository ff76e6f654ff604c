"""`replay` against the real pair: a built index, its encoder, and held-out queries over HTTP."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep_core.artifacts import ArtifactStore
from lockstep_core.datasets import load_dataset, split_by_class
from lockstep_core.jobs import JobFailure
from lockstep_core.protocol.config import (
    BuildConfig,
    IndexEndpoint,
    IndexServerConfig,
    ReplayConfig,
)
from lockstep_core.protocol.datasets import DatasetFormat, DatasetSpec, LabelledDataset, SplitSpec
from lockstep_core.protocol.environment import TERMINATION_PATH_VARIABLE
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.http import MAX_K, Neighbour
from lockstep_core.protocol.indexing import IndexSpec, IndexType, ObjectivesSpec
from lockstep_core.protocol.result import Program, Result
from lockstep_core.quality.recall import relevance_recall
from lockstep_core.quality.statistics import summarise
from lockstep_encoder.replay import choose, recall_of
from lockstep_encoder.replay_client import ReleaseClient
from tests.unit.encoder.support import (
    PublishedModel,
    Running,
    Spawn,
    artifacts,
    encoder_arguments,
    encoder_config,
    letters,
)

pytestmark = [pytest.mark.unit, pytest.mark.programs]

SPLIT = SplitSpec(eval_fraction="0.5", seed=3)


def run(command: list[str], config: dict[str, Any], folder: Path) -> Result:
    path = folder / f"config-{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", *command, "--config", str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, TERMINATION_PATH_VARIABLE: str(folder / "termination")},
        text=True,
    )
    return Result.from_json(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def build(
    store_root: Path, model: PublishedModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """An exact index over the letters: the digests of the build and of its corpus."""
    images, labels = letters()
    np.savez(store_root / "replayed.npz", inputs=images, labels=labels)
    config = BuildConfig(
        release="letters-r1",
        release_uid="uid-replay",
        artifacts=artifacts(store_root),
        artifact_digest=model.digest,
        space_id=model.manifest.space_id,
        index="letters",
        source=DatasetSpec(uri=f"file://{store_root}/replayed.npz", format=DatasetFormat.NPZ),
        recipe=IndexSpec(type=IndexType.FLAT),
        objectives=ObjectivesSpec(),
    )
    folder = tmp_path_factory.mktemp("replay-build")
    facts = run(["lockstep_indexer", "build"], config.to_wire(), folder).build
    assert facts is not None
    return facts.build_digest, facts.source_digest


@pytest.fixture
def encoder(
    spawn: Spawn, store_root: Path, model: PublishedModel, build: tuple[str, str]
) -> Running:
    server = IndexServerConfig(
        release="letters-r1",
        index="letters",
        artifacts=artifacts(store_root),
        build_digest=build[0],
        space_id=model.manifest.space_id,
    )
    command = ["-m", "lockstep_indexer", "serve", "--host", "127.0.0.1", "--port", "0"]
    index = spawn([*command, "--drain-seconds", "0"], server.to_wire())
    found = IndexEndpoint(
        name="letters", url=index.url, build_digest=build[0], space_id=model.manifest.space_id
    )
    return spawn(encoder_arguments(), encoder_config(store_root, model, found)).until_ready()


def config_of(
    store_root: Path, model: PublishedModel, build: tuple[str, str], url: str, **changes: Any
) -> ReplayConfig:
    uri = f"file://{store_root}/replayed.npz"
    known = {
        "release": "letters-r1",
        "release_uid": "uid-replay",
        "artifacts": artifacts(store_root),
        "analysis": "3@2026-01-31T12:00:00Z",
        "url": url,
        "space_id": model.manifest.space_id,
        "index": "letters",
        "build_digest": build[0],
        "data": LabelledDataset(uri=uri, format=DatasetFormat.NPZ, split=SPLIT),
        "source": DatasetSpec(uri=uri, format=DatasetFormat.NPZ, digest=build[1]),
        "k": 3,
    }
    return ReplayConfig(**{**known, **changes})


def test_a_replay_measures_what_exact_search_over_the_corpus_says(
    encoder: Running,
    store_root: Path,
    model: PublishedModel,
    build: tuple[str, str],
    tmp_path: Path,
) -> None:
    config = config_of(store_root, model, build, encoder.url)
    result = run(["lockstep_encoder", "replay"], config.to_wire(), tmp_path)
    assert (result.program, result.exit_code) == (Program.REPLAY, ExitCode.OK), result.message
    facts = result.replay
    assert facts is not None
    images, labels = letters()
    _, held_out = split_by_class(labels, SPLIT)
    exact = relevance_recall(model.embed(images), labels, [3])[0]
    assert facts.sent == facts.recall.n == len(held_out)
    # Of equally far rows either may be the third; drawings of one letter are rarely equal.
    assert facts.recall.mean == pytest.approx(summarise(exact[held_out]).mean, abs=0.02)
    assert (facts.index, facts.k, facts.build_digest) == ("letters", 3, build[0])

    # The same question after a lost pod is the same answer; another analysis asks anew.
    again = run(["lockstep_encoder", "replay"], config.to_wire(), tmp_path)
    assert (again.reason, again.replay) == ("AlreadyDone", facts)
    config = config_of(store_root, model, build, encoder.url, analysis="5@2026-01-31T12:05:00Z")
    anew = run(["lockstep_encoder", "replay"], config.to_wire(), tmp_path)
    assert anew.reason == "Succeeded" and anew.replay is not None
    assert anew.replay.recall == facts.recall


async def test_a_release_that_does_not_answer_is_asked_again_and_then_told(
    store_root: Path, model: PublishedModel, build: tuple[str, str]
) -> None:
    with socket.socket() as taken:
        # Bound and not listening: every try is refused.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        config = config_of(store_root, model, build, url)
        async with ReleaseClient(config, first_wait=0.001) as client:
            with pytest.raises(JobFailure) as caught:
                await client.search(np.zeros((1, 256), np.uint8), 3)
    assert (caught.value.code, caught.value.reason) == (ExitCode.INTERNAL, "ReleaseUnavailable")
    assert url in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason", "code"),
    [
        ({"build_digest": f"sha256:{'7' * 64}"}, "PairMismatch", ExitCode.SELF_CHECK_FAILED),
        ({"space_id": "0" * 12}, "PairMismatch", ExitCode.SELF_CHECK_FAILED),
        ({"release": "letters-r2"}, "PairMismatch", ExitCode.SELF_CHECK_FAILED),
        ({"index": "digits"}, "QueryRefused", ExitCode.BAD_DATASET),
    ],
    ids=["build", "space", "release", "index"],
)
def test_another_pair_is_not_measured(
    changes: dict[str, Any],
    reason: str,
    code: ExitCode,
    pair: Any,
    store_root: Path,
    build: tuple[str, str],
    tmp_path: Path,
) -> None:
    ours = (pair.encoder.url, "sha256:" + "1" * 64)
    config = config_of(
        store_root, pair.model, (ours[1], build[1]), ours[0], max_samples=4, **changes
    )
    result = run(["lockstep_encoder", "replay"], config.to_wire(), tmp_path)
    assert (result.reason, result.exit_code) == (reason, code), result.message


def test_a_corpus_that_changed_since_the_build_is_refused(
    pair: Any, store_root: Path, build: tuple[str, str], tmp_path: Path
) -> None:
    config = config_of(store_root, pair.model, (build[0], f"sha256:{'7' * 64}"), pair.encoder.url)
    result = run(["lockstep_encoder", "replay"], config.to_wire(), tmp_path)
    assert result.reason == "ArtifactRefused" and "replayed.npz" in result.message


def test_the_choice_is_seeded_and_knows_what_the_corpus_holds(
    store_root: Path, model: PublishedModel, build: tuple[str, str], tmp_path: Path
) -> None:
    store = ArtifactStore.open(artifacts(store_root))
    config = config_of(store_root, model, build, "http://nobody", max_samples=20)
    data = load_dataset(config.data, store, tmp_path)
    one, same = choose(data, data, config), choose(data, data, config)
    other = choose(data, data, config.model_copy(update={"seed": 9}))
    assert len(one) == 20 and (one.inputs == same.inputs).all()
    assert not np.array_equal(one.inputs, other.inputs)
    # Six drawings of a letter: itself (and its twins, if any) are no test of it.
    for copies, relevant in zip(one.copies, one.relevant, strict=True):
        assert len(copies) >= 1 and relevant == 6 - len(copies)


def test_the_recall_of_a_query_leaves_its_copies_out() -> None:
    def hit(name: str, label: str) -> Neighbour:
        return Neighbour(id=name, label=label, distance=0.0)

    hits = [hit("self", "A"), hit("1", "B"), hit("2", "A"), hit("3", "A")]
    copies = frozenset({"self"})
    assert recall_of(hits, "A", copies, relevant=5, k=2) == 0.5
    assert recall_of(hits, "A", copies, relevant=2, k=3) == 1.0
    assert recall_of(hits, "A", frozenset(), relevant=1, k=2) == 1.0
    assert math.isnan(recall_of(hits, "A", copies, relevant=0, k=2))


@pytest.mark.parametrize(("copies", "measured"), [(998, True), (999, False), (5000, False)])
def test_a_query_with_more_copies_than_a_search_returns_measures_nothing(
    copies: int, measured: bool
) -> None:
    """Its copies fill the answer: what lies behind them is unknown, and no miss."""
    names = [f"copy-{row}" for row in range(copies)]
    others = [f"other-{row}" for row in range(2)]
    hits = [Neighbour(id=name, label="A", distance=0.0) for name in (names + others)[:MAX_K]]
    recall = recall_of(hits, "A", frozenset(names), relevant=2, k=2)
    assert recall == 1.0 if measured else math.isnan(recall)


def test_equal_queries_of_one_label_are_one_query(
    store_root: Path, model: PublishedModel, build: tuple[str, str], tmp_path: Path
) -> None:
    images, labels = letters()
    inputs = np.concatenate([images, images[:1].repeat(50, axis=0)])
    more = np.append(labels, labels[:1].repeat(50))
    np.savez(store_root / "copies.npz", inputs=inputs, labels=more)
    source = DatasetSpec(uri=f"file://{store_root}/copies.npz", format=DatasetFormat.NPZ)
    config = config_of(store_root, model, build, "http://nobody")
    store = ArtifactStore.open(artifacts(store_root))
    plain = load_dataset(config.data, store, tmp_path)
    copied = load_dataset(source, store, tmp_path)
    one, other = choose(plain, plain, config), choose(copied, plain, config)
    assert np.array_equal(one.inputs, other.inputs)
    assert np.array_equal(one.relevant, other.relevant)
