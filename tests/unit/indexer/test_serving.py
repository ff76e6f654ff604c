"""`serve` as the real program: answers, identity, refusals, drain."""

from __future__ import annotations

import base64
import threading
from collections import Counter
from pathlib import Path

import faiss
import httpx
import numpy as np
import pytest

from lockstep_core.artifacts import ArtifactError, BuildManifest, describe_files
from lockstep_core.protocol import headers, metrics
from lockstep_core.protocol.config import IndexServerConfig
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.http import ErrorBody, GoldenAnswers, VectorSearchResponse
from lockstep_core.protocol.storage import ArtifactsSpec
from lockstep_indexer.opened_build import GOLDEN_FILE, ROLES, Golden, open_build, write_golden
from lockstep_indexer.serving import load_build

pytestmark = [pytest.mark.unit, pytest.mark.programs]

# Whole enough to find k rows, and careless enough to miss some of the nearest.
CARELESS = {"type": "HNSW", "hnsw": {"m": 8, "efConstruction": 16, "efSearch": 1}}
QUICK = ("--port", "0", "--drain-seconds", "0.2")


@pytest.fixture(scope="module")
def facts(configure, build):
    return build(configure(recipe=CARELESS))


def server_config(facts, artifacts, **changes) -> IndexServerConfig:
    usual = {
        "release": "letters-r1",
        "index": "letters",
        "artifacts": artifacts.to_wire(),
        "buildDigest": facts.build_digest,
        "spaceID": facts.space_id,
    }
    return IndexServerConfig.model_validate({**usual, **changes})


@pytest.fixture(scope="module")
def client(facts, artifacts, run):
    server = run(server_config(facts, artifacts), *QUICK).until_ready()
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def opened(facts, store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("opened")
    return open_build(folder, store.fetch(facts.build_digest, folder, BuildManifest))


def body(vectors: np.ndarray, **more: object) -> dict[str, object]:
    raw = np.ascontiguousarray(vectors, dtype="<f4").tobytes()
    return {"vectors": base64.b64encode(raw).decode(), "count": len(vectors), **more}


@pytest.fixture(scope="module")
def queries(model, letters) -> np.ndarray:
    """Letters that no row shows: pixels inverted in one quarter."""
    pages = letters.inputs[::37].copy()
    pages[:, :10, :10] = 255 - pages[:, :10, :10]
    return model.embed(pages)


def search(client, vectors, **more) -> VectorSearchResponse:
    answer = client.post("/v1/search", json=body(vectors, **more))
    assert answer.status_code == 200, answer.text
    return VectorSearchResponse.model_validate_json(answer.content)


def test_answers_are_those_of_a_direct_faiss_search(client, opened, letters, queries) -> None:
    index = faiss.downcast_index(opened.searcher.index)
    wide = faiss.SearchParametersHNSW()
    wide.efSearch = 7  # the recipe says 1, but a walk must hold the k that are asked for
    squared, rows = index.search(queries, 7, params=wide)
    assert (rows >= 0).all()
    for position, hits in enumerate(search(client, queries, k=7).results):
        assert [hit.id for hit in hits] == letters.ids[rows[position]].tolist()
        assert [hit.label for hit in hits] == letters.labels[rows[position]].tolist()
        assert [hit.distance for hit in hits] == pytest.approx(
            np.sqrt(squared[position]).tolist(), abs=1e-3
        )


def test_exact_compares_with_every_row_where_the_graph_misses(
    client, opened, letters, queries
) -> None:
    rows = np.asarray(opened.vectors, dtype=np.float64)
    missed = 0
    exact = search(client, queries, k=5, exact=True).results
    for query, hits, found in zip(
        queries, exact, search(client, queries, k=5).results, strict=True
    ):
        apart = np.linalg.norm(rows - query, axis=1)
        nearest = np.argsort(apart, kind="stable")[:5]
        assert [hit.id for hit in hits] == letters.ids[nearest].tolist()
        assert [hit.distance for hit in hits] == pytest.approx(apart[nearest].tolist(), abs=1e-6)
        missed += [hit.id for hit in found] != [hit.id for hit in hits]
    assert missed > 0, "the careless graph is as good as exact search: nothing was compared"


def test_k_is_capped_to_the_rows_and_no_list_is_short(client, letters, queries) -> None:
    """The graph's walk does not reach every row: such queries are answered exactly."""
    (hits,) = search(client, queries[:1], k=1000).results
    assert len({hit.id for hit in hits}) == 1000
    apart = [hit.distance for hit in hits]
    assert apart == sorted(apart) and apart[-1] <= 2


def test_a_small_index_gives_all_rows(configure, build, artifacts, run, store_root, letters, model):
    path = store_root / "five.npz"
    np.savez(path, inputs=letters.inputs[:5], ids=letters.ids[:5])
    source = {"uri": f"file://{path}", "format": "NPZ"}
    facts = build(configure(source=source, recipe={"type": "Flat"}))
    server = run(server_config(facts, artifacts), *QUICK).until_ready()
    with httpx.Client(base_url=server.url) as client:
        (hits,) = search(client, model.embed(letters.inputs[2:3]), k=50).results
    assert [len(hits), hits[0].id] == [5, letters.ids[2]]


def test_golden_answers_are_those_that_were_sealed(client, opened) -> None:
    golden = GoldenAnswers.model_validate_json(client.get("/v1/golden").content)
    assert golden.k == 10
    sealed = opened.golden
    assert golden.queries is not None
    queries = np.frombuffer(base64.b64decode(golden.queries), "<f4").reshape(sealed.queries.shape)
    np.testing.assert_array_equal(queries, sealed.queries)
    for hits, rows, apart in zip(golden.results, sealed.rows, sealed.distances, strict=True):
        assert [hit.id for hit in hits] == [opened.ids[row] for row in rows]
        assert [hit.distance for hit in hits] == apart.tolist()


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/golden"), ("GET", "/readyz"), ("GET", "/nothing")]
)
def test_every_response_carries_the_manifests_identity(client, facts, method, path) -> None:
    found = client.request(method, path).headers
    assert found[headers.RELEASE] == "letters-r1"
    assert found[headers.SPACE] == found[headers.INDEX_SPACE] == facts.space_id
    assert found[headers.BUILD] == facts.build_digest


@pytest.mark.parametrize("name", [headers.EXPECTED_SPACE, headers.EXPECTED_BUILD])
def test_another_space_or_build_than_expected_is_409(client, facts, queries, name) -> None:
    own = facts.space_id if name == headers.EXPECTED_SPACE else facts.build_digest
    request = {"url": "/v1/search", "json": body(queries[:1])}
    assert client.post(**request, headers={name: own}).status_code == 200
    other = own[:-1] + ("0" if own[-1] != "0" else "1")
    answer = client.post(**request, headers={name: other})
    assert answer.status_code == 409
    message = ErrorBody.model_validate_json(answer.content).error.message
    assert own in message and other in message


UNIT = np.eye(16, dtype=np.float32)
HOSTILE = {
    "not JSON": (b"{", 400, "JSON"),
    "a list": (b"[]", 400, "object"),
    "no vectors": ({"count": 1}, 422, "vectors"),
    "unknown field": ({**body(UNIT[:1]), "nprobe": 3}, 422, "nprobe"),
    "not base64": ({"vectors": "§§", "count": 1}, 422, "base64"),
    "cut short": ({**body(UNIT[:2]), "count": 3}, 422, "192"),
    "too long": ({**body(UNIT[:2]), "count": 1}, 422, "64"),
    "another width": (body(np.eye(8, dtype=np.float32)[:1]), 422, "16 little-endian"),
    "NaN": (body(UNIT[:1] * np.nan), 422, "NaN"),
    "infinity": (body(np.full((1, 16), np.inf)), 422, "NaN or infinity"),
    "zero": (body(UNIT[:1] * 0), 422, "zero"),
    "huge": (body(UNIT[:2] * 1e38), 422, "L2-normalised"),
    "not unit": (body(UNIT[:1] * 3), 422, "L2-normalised"),
    "no rows": ({"vectors": "", "count": 0}, 422, "count"),
    "too many rows": ({"vectors": "", "count": 257}, 422, "count"),
    "k of 0": (body(UNIT[:1], k=0), 422, "k"),
    "k too large": (body(UNIT[:1], k=1001), 422, "1000"),
    "k a word": (body(UNIT[:1], k="many"), 422, "k"),
    "exact a word": (body(UNIT[:1], exact="perhaps"), 422, "exact"),
    "too large": (b" " * (9 * 1024 * 1024), 413, "larger"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_refused_and_say_why(client, name, queries) -> None:
    given, status, says = HOSTILE[name]
    form = {"content": given} if isinstance(given, bytes) else {"json": given}
    answer = client.post("/v1/search", **form)
    assert answer.status_code == status, answer.text
    assert says in ErrorBody.model_validate_json(answer.content).error.message
    assert search(client, queries[:1], k=1).results


def test_metrics_tell_which_build_answers(client, facts, queries) -> None:
    search(client, queries[:3])
    text = client.get("/metrics").text
    assert f"{metrics.INDEX_ROWS} {facts.rows:.1f}" in text
    info = (
        f'{metrics.INDEX_INFO}{{build="{facts.build_digest}",index="letters",release="letters-r1"'
        f',space="{facts.space_id}"}} 1.0'
    )
    assert info in text
    assert f'{metrics.INDEX_REQUESTS}{{api="search",code="200"}}' in text
    assert f'{metrics.INDEX_REQUEST_SECONDS}_count{{api="search"}}' in text
    assert f"{metrics.INDEX_SEARCH_SECONDS}_count" in text


@pytest.mark.parametrize("name", ROLES)
def test_one_flipped_bit_is_named_and_never_parsed(
    facts, store_copy, flip, tmp_path, monkeypatch, name
) -> None:
    flip(Path(store_copy.uri.removeprefix("file://")), facts.build_digest, name)
    parsed: list[object] = []
    monkeypatch.setattr(faiss, "read_index", lambda *given: parsed.append(given))
    with pytest.raises(ArtifactError, match=rf"^{name} of artifact {facts.build_digest}"):
        load_build(server_config(facts, store_copy), tmp_path / "into")
    assert not parsed


def test_the_program_ends_with_the_refusal_as_its_result(facts, store_copy, flip, run) -> None:
    flip(Path(store_copy.uri.removeprefix("file://")), facts.build_digest, "index.faiss")
    server = run(server_config(facts, store_copy), *QUICK)
    assert server.wait() == ExitCode.DIGEST_MISMATCH
    assert "index.faiss" in server.result.message


def test_a_build_of_another_space_and_equal_width_is_refused(
    publish_model, configure, build, artifacts, model, run
) -> None:
    other = publish_model(2)
    foreign = build(configure(artifactDigest=other.digest, spaceID=other.space))
    server = run(server_config(foreign, artifacts, spaceID=model.space), *QUICK)
    assert server.wait() == ExitCode.DIGEST_MISMATCH
    assert server.result.reason == "SpaceMismatch"
    assert other.space in server.result.message and model.space in server.result.message


@pytest.mark.parametrize("planted", ["distance", "row"])
def test_other_answers_than_sealed_are_never_served(
    facts, store, artifacts, run, tmp_path, planted
) -> None:
    manifest = store.fetch(facts.build_digest, tmp_path, BuildManifest)
    sealed = open_build(tmp_path, manifest).golden
    rows, distances = sealed.rows.copy(), sealed.distances.copy()
    if planted == "distance":
        distances[1, 2] += 2e-3
    else:
        rows[1, 0] = (set(range(20)) - set(rows[1].tolist())).pop()
    (tmp_path / GOLDEN_FILE).unlink()
    write_golden(tmp_path, Golden(sealed.queries, rows, distances))
    digest = store.publish(
        tmp_path, manifest.model_copy(update={"files": describe_files(tmp_path, ROLES)})
    )
    server = run(server_config(facts, artifacts, buildDigest=digest), *QUICK)
    assert server.wait() == ExitCode.SELF_CHECK_FAILED
    assert server.result.reason == "GoldenMismatch" and "query 1" in server.result.message


def test_no_search_is_lost_while_it_drains(facts, artifacts, run, queries) -> None:
    """Eight clients search without a pause; each leaves when it is told to close."""
    server = run(server_config(facts, artifacts), "--port", "0", "--drain-seconds", "1.5")
    server.until_ready()
    answered: Counter[object] = Counter()
    terminated, busy = threading.Event(), threading.Event()

    def search_on() -> None:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while True:
                late = terminated.is_set()
                try:
                    answer = client.post("/v1/search", json=body(queries[:4], exact=True))
                except httpx.HTTPError as error:
                    answered[repr(error)] += 1
                    return
                answered[answer.status_code] += 1
                if sum(answered.values()) >= 100:
                    busy.set()
                if late and answer.headers.get("connection") == "close":
                    return

    clients = [threading.Thread(target=search_on) for _ in range(8)]
    for each in clients:
        each.start()
    assert busy.wait(60), answered
    server.terminate()
    terminated.set()
    for each in clients:
        each.join(30)
    assert set(answered) == {200} and answered[200] >= 108, answered
    assert server.wait() == 0


def test_a_store_that_is_not_there_is_named(artifacts, run, facts) -> None:
    nowhere = ArtifactsSpec(uri="file:///no-such-volume", claim_name="artifacts")
    server = run(server_config(facts, artifacts).model_copy(update={"artifacts": nowhere}), *QUICK)
    assert server.wait() == ExitCode.STORE_UNAVAILABLE
    assert "/no-such-volume" in server.result.message
