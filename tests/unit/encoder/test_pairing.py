"""Planted mixed pairs and damaged parts: refused before Ready, and withheld after."""

from __future__ import annotations

import copy
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from lockstep_core.protocol import headers
from lockstep_core.protocol.artifacts import ArtifactKind
from lockstep_core.protocol.config import EncoderConfig
from lockstep_core.protocol.environment import DEFAULT_INDEX_VARIABLE
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.serving.connections import IDLE_SECONDS
from lockstep_encoder.index_client import KEEPALIVE_SECONDS
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
    publish_model,
)

pytestmark = [pytest.mark.unit, pytest.mark.programs]

QUERY: dict[str, Any] = {"input": letters()[0][0].ravel().tolist(), "k": 2}


def _ends(encoder: Running, exit_code: ExitCode) -> str:
    assert encoder.process.wait(timeout=60) == exit_code
    assert encoder.result().exit_code == exit_code
    return encoder.result().message


def _pair(
    spawn: Spawn, root: Path, model: PublishedModel, folder: Path, *more: str
) -> tuple[Running, Running]:
    index = spawn([str(INDEX_SERVER)], index_config(model, folder))
    config = encoder_config(root, model, endpoint(index.url, model))
    return index, spawn(encoder_arguments(*more), config).until_ready()


def test_an_index_of_another_encoder_is_refused_though_it_claims_our_names(
    spawn: Spawn,
    store_root: Path,
    model: PublishedModel,
    other_model: PublishedModel,
    tmp_path: Path,
) -> None:
    """The public case: the same width, a passing dimension check, and plausible nonsense."""
    planted = index_config(other_model, tmp_path, space=model.manifest.space_id)
    index = spawn([str(INDEX_SERVER)], planted)
    config = encoder_config(store_root, model, endpoint(index.url, model))
    message = _ends(spawn(encoder_arguments(), config), ExitCode.SELF_CHECK_FAILED)
    assert "index letters" in message and "golden item 0" in message and "expected" in message


def test_a_golden_answer_that_differs_is_named(
    spawn: Spawn, store_root: Path, model: PublishedModel, tmp_path: Path
) -> None:
    planted = index_config(model, tmp_path)
    planted["golden"] = copy.deepcopy(planted["golden"])
    planted["golden"]["results"][3][1]["distance"] += 0.01
    index = spawn([str(INDEX_SERVER)], planted)
    config = encoder_config(store_root, model, endpoint(index.url, model))
    message = _ends(spawn(encoder_arguments(), config), ExitCode.SELF_CHECK_FAILED)
    assert "golden item 3: at rank 2" in message


def test_golden_queries_are_searched_as_they_were_sealed(
    spawn: Spawn, store_root: Path, tmp_path: Path
) -> None:
    """The node that built the index rounded 8-bit activations otherwise than this one: its golden
    queries, and so the distances of their neighbours, are not those of what is embedded here."""
    model = publish_model(store_root, tmp_path / "model", seed=3, kind=ArtifactKind.INT8)
    there = model.embed(model.golden)
    there += np.random.default_rng(0).normal(0, 0.013, there.shape).astype(np.float32)
    there /= np.linalg.norm(there, axis=1, keepdims=True)
    cosines = (there * model.embed(model.golden)).sum(axis=1)
    assert cosines.mean() > 0.998 and np.abs(there - model.embed(model.golden)).max() > 0.02
    index = spawn([str(INDEX_SERVER)], index_config(model, tmp_path, queries=there))
    config = encoder_config(store_root, model, endpoint(index.url, model))
    spawn(encoder_arguments(), config).until_ready()


def test_an_index_sealed_with_other_embeddings_is_refused_and_the_processor_named(
    spawn: Spawn,
    store_root: Path,
    model: PublishedModel,
    other_model: PublishedModel,
    tmp_path: Path,
) -> None:
    queries = other_model.embed(other_model.golden)
    planted = index_config(other_model, tmp_path, space=model.manifest.space_id, queries=queries)
    index = spawn([str(INDEX_SERVER)], planted)
    config = encoder_config(store_root, model, endpoint(index.url, model))
    message = _ends(spawn(encoder_arguments(), config), ExitCode.SELF_CHECK_FAILED)
    assert "as sealed, differ by" in message and "processor (CPU)" in message


@pytest.mark.parametrize("changed", [{"space": "b" * 12}, {"build": f"sha256:{'2' * 64}"}])
def test_an_index_server_of_another_space_or_build_is_refused(
    changed: dict[str, str], spawn: Spawn, store_root: Path, model: PublishedModel, tmp_path: Path
) -> None:
    index = spawn([str(INDEX_SERVER)], index_config(model, tmp_path, **changed))
    config = encoder_config(store_root, model, endpoint(index.url, model))
    message = _ends(spawn(encoder_arguments(), config), ExitCode.SELF_CHECK_FAILED)
    assert next(iter(changed.values())) in message and "letters" in message


def test_a_config_that_mixes_spaces_is_refused_before_anything_is_fetched(
    spawn: Spawn, store_root: Path, model: PublishedModel, other_model: PublishedModel
) -> None:
    config = encoder_config(store_root, model, endpoint("http://127.0.0.1:1", other_model))
    message = _ends(spawn(encoder_arguments(), config), ExitCode.BAD_CONFIG)
    assert model.manifest.space_id in message and other_model.manifest.space_id in message


def test_an_artifact_of_another_space_is_refused(
    spawn: Spawn, store_root: Path, model: PublishedModel, other_model: PublishedModel
) -> None:
    config = encoder_config(store_root, model, artifactDigest=other_model.digest)
    message = _ends(spawn(encoder_arguments(), config), ExitCode.DIGEST_MISMATCH)
    assert model.manifest.space_id in message and other_model.manifest.space_id in message


def test_one_flipped_byte_is_refused(spawn: Spawn, model: PublishedModel, tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.mkdir()
    published = publish_model(root, tmp_path / "model", seed=1)
    assert published.digest == model.digest
    largest = max((path for path in root.rglob("*") if path.is_file()), key=_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.chmod(0o644)
    largest.write_bytes(data)
    message = _ends(
        spawn(encoder_arguments(), encoder_config(root, published)), ExitCode.DIGEST_MISMATCH
    )
    assert "model.onnx" in message


def _size(path: Path) -> int:
    return path.stat().st_size


def test_an_answer_under_another_name_is_withheld_and_counted(
    spawn: Spawn, store_root: Path, model: PublishedModel, tmp_path: Path
) -> None:
    index, encoder = _pair(spawn, store_root, model, tmp_path)
    space = model.manifest.space_id
    lies = [
        {headers.INDEX_SPACE: "b" * 12, headers.BUILD: BUILD},
        {headers.INDEX_SPACE: space, headers.BUILD: f"sha256:{'2' * 64}"},
        {headers.INDEX_SPACE: space},
        {headers.BUILD: BUILD},
    ]
    for lie in lies:
        httpx.post(f"{index.url}/lie", json={"headers": lie})
        refused = httpx.post(f"{encoder.url}/v1/search", json=QUERY)
        assert refused.status_code == 502
        assert refused.json()["error"]["code"] == "pairing_refused"
        assert "results" not in refused.text and headers.INDEX_SPACE not in refused.headers
    httpx.post(f"{index.url}/lie", json={})
    assert httpx.post(f"{encoder.url}/v1/search", json=QUERY).status_code == 200
    text = httpx.get(f"{encoder.url}/metrics").text
    refusals = 'lockstep_encoder_pairing_refusals_total{index="letters",reason='
    assert f'{refusals}"Space"}} 2.0' in text and f'{refusals}"Build"}} 2.0' in text
    httpx.post(f"{index.url}/lie", json={"drop": True})
    short = httpx.post(f"{encoder.url}/v1/search", json=QUERY)
    assert short.status_code == 503 and "1 results" in short.json()["error"]["message"]


def test_it_waits_for_its_index_and_stays_ready_without_it(
    spawn: Spawn, store_root: Path, model: PublishedModel, tmp_path: Path
) -> None:
    """Until the index answers once: not Ready. After that embeddings go on without it."""
    index = spawn([str(INDEX_SERVER)], index_config(model, tmp_path))
    port = index.port
    index.stop()
    encoder = spawn(
        encoder_arguments(), encoder_config(store_root, model, endpoint(index.url, model))
    )
    for _ in range(200):
        if "does not answer" in encoder.waiting().get("index letters", ""):
            break
        time.sleep(0.05)
    assert list(encoder.waiting()) == ["start", "index letters"]
    again = spawn([str(INDEX_SERVER), str(port)], index_config(model, tmp_path))
    encoder.until_ready()
    again.stop()
    lost = httpx.post(f"{encoder.url}/v1/search", json=QUERY)
    assert lost.status_code == 503 and lost.json()["error"]["code"] == "index_unavailable"
    assert encoder.waiting() == {}
    embedded = httpx.post(f"{encoder.url}/v1/embeddings", json={"input": QUERY["input"]})
    assert embedded.status_code == 200


def test_without_an_index_a_search_is_404_and_with_two_it_needs_a_name(
    spawn: Spawn, store_root: Path, model: PublishedModel, tmp_path: Path
) -> None:
    alone = spawn(encoder_arguments(), encoder_config(store_root, model)).until_ready()
    nothing = httpx.post(f"{alone.url}/v1/search", json=QUERY)
    assert nothing.status_code == 404 and "none" in nothing.json()["error"]["message"]
    index = spawn([str(INDEX_SERVER)], index_config(model, tmp_path))
    both = [endpoint(index.url, model, name=name) for name in ("latin", "letters")]
    two = spawn(encoder_arguments(), encoder_config(store_root, model, *both)).until_ready()
    unnamed = httpx.post(f"{two.url}/v1/search", json=QUERY)
    assert unnamed.status_code == 422 and "latin, letters" in unnamed.json()["error"]["message"]
    named = httpx.post(f"{two.url}/v1/search", json={**QUERY, "index": "latin"})
    assert named.json()["index"] == "latin"
    told = {DEFAULT_INDEX_VARIABLE: "letters"}
    config = encoder_config(store_root, model, *both)
    chosen = spawn(encoder_arguments(), config, **told).until_ready()
    unnamed = httpx.post(f"{chosen.url}/v1/search", json=QUERY)
    assert unnamed.status_code == 200 and unnamed.json()["index"] == "letters"


def test_more_items_than_the_queue_takes_are_429(
    spawn: Spawn, store_root: Path, model: PublishedModel
) -> None:
    encoder = spawn(
        encoder_arguments("--max-queue-items", "4"), encoder_config(store_root, model)
    ).until_ready()
    full = httpx.post(f"{encoder.url}/v1/embeddings", json={"input": [QUERY["input"]] * 5})
    assert full.status_code == 429 and full.headers["retry-after"] == "1"
    fits = httpx.post(f"{encoder.url}/v1/embeddings", json={"input": [QUERY["input"]] * 4})
    assert fits.status_code == 200
    text = httpx.get(f"{encoder.url}/metrics").text
    assert 'lockstep_encoder_rejected_total{reason="Overloaded"} 1.0' in text


def test_no_search_fails_while_an_encoder_drains_under_load(
    spawn: Spawn, store_root: Path, model: PublishedModel, tmp_path: Path
) -> None:
    index, old = _pair(spawn, store_root, model, tmp_path, "--drain-seconds", "2")
    config = encoder_config(store_root, model, endpoint(index.url, model))
    new = spawn(encoder_arguments(), config).until_ready()
    urls, done = [old.url], threading.Event()
    statuses: list[int | str] = []

    def client() -> None:
        # A client per connection, as a Service balances: closed ones are opened at the new place.
        with httpx.Client() as http:
            while not done.is_set():
                try:
                    statuses.append(http.post(f"{urls[0]}/v1/search", json=QUERY).status_code)
                except httpx.HTTPError as error:
                    statuses.append(repr(error))

    clients = [threading.Thread(target=client) for _ in range(8)]
    for each in clients:
        each.start()
    time.sleep(0.5)
    old.process.send_signal(signal.SIGTERM)
    time.sleep(0.7)
    urls[0] = new.url
    assert old.process.wait(timeout=30) == 0
    moved = len(statuses)
    while len(statuses) < moved + 20:
        time.sleep(0.01)
    done.set()
    for each in clients:
        each.join()
    assert set(statuses) == {200}


def test_a_bad_config_is_refused_by_name(
    spawn: Spawn, store_root: Path, model: PublishedModel
) -> None:
    config = encoder_config(store_root, model)
    config["artifactDigest"] = "sha256:nonsense"
    assert "artifactDigest" in _ends(spawn(encoder_arguments(), config), ExitCode.BAD_CONFIG)


def test_help_teaches() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "lockstep_encoder", "serve", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    example = shown[shown.index('{"model"') : shown.index("It fetches")]
    digest = f"sha256:{'0' * 64}"
    config = EncoderConfig.model_validate(json.loads(example.replace("sha256:...", digest)))
    assert config.indexes[0].space_id == config.space_id
    assert "x-lockstep-expected-space" in shown


def test_idle_connections_to_an_index_are_closed_by_the_client_and_not_under_a_request() -> None:
    assert 10 * KEEPALIVE_SECONDS < IDLE_SECONDS
