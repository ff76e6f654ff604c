"""`build`, in this process and as the real program."""

from __future__ import annotations

import io
import json
from pathlib import Path

import faiss
import numpy as np
import pytest

from lockstep_core.artifacts import ArtifactError, ArtifactStore, BuildManifest
from lockstep_core.jobs import JobFailure, Reporter, Stopping
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.progress import Phase
from lockstep_indexer import building
from lockstep_indexer.opened_build import ROLES, open_build
from lockstep_indexer.vectors import restore

pytestmark = [pytest.mark.unit, pytest.mark.programs]

DEGRADED = {"type": "HNSW", "hnsw": {"m": 2, "efConstruction": 1, "efSearch": 1}}


@pytest.fixture(scope="module")
def facts(configure, build):
    return build(configure())


def test_the_facts_are_those_of_the_published_build(facts, store, model, letters, tmp_path) -> None:
    manifest = store.fetch(facts.build_digest, tmp_path, BuildManifest)
    assert facts.rows == facts.expected_rows == manifest.rows == len(letters.ids)
    assert facts.space_id == manifest.space_id == model.space
    assert manifest.artifact_digest == model.digest
    assert facts.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert {entry.path: entry.role for entry in manifest.files} == ROLES
    # Measured before and after publishing, by the same queries: the manifest says it for readers.
    assert (facts.recall_k, facts.recall) == (manifest.recall_k, manifest.recall)
    assert facts.recall.n == 1000 and facts.recall.mean >= 0.95


def test_rows_keep_their_ids_labels_and_vectors(facts, store, model, letters, tmp_path) -> None:
    opened = open_build(tmp_path, store.fetch(facts.build_digest, tmp_path, BuildManifest))
    embedded = model.embed(letters.inputs)
    assert np.abs(restore(opened.vectors) - embedded).max() < 2**-11
    rows, _ = opened.search(embedded, 1)
    same = (rows[:, 0] == np.arange(len(embedded))).mean()
    assert same > 0.98  # the rest are drawings with a twin
    for row in (0, 517, len(letters.ids) - 1):
        assert opened.ids[row] == letters.ids[row]
        assert opened.labels[row] == letters.labels[row]


def test_golden_answers_are_those_of_this_very_index(facts, store, model, letters, tmp_path):
    opened = open_build(tmp_path, store.fetch(facts.build_digest, tmp_path, BuildManifest))
    golden = model.embed(letters.inputs[5::65])
    rows, distances = opened.search(golden, 10)
    assert np.array_equal(opened.golden.rows, rows)
    assert np.abs(opened.golden.distances - distances).max() == 0


def test_flat_is_exact_and_a_planted_degraded_graph_is_not(configure, build) -> None:
    flat = build(configure(recipe={"type": "Flat"}))
    degraded = build(configure(recipe=DEGRADED))
    assert flat.recall.mean == 1.0 and flat.recall.standard_deviation == 0
    assert degraded.recall.mean < 0.9
    assert degraded.rows == degraded.expected_rows


def test_the_same_inputs_have_the_same_digest(configure, build, facts) -> None:
    again = build(configure(release="letters-r2", releaseUID="uid-2", attempt=3))
    assert again.build_digest == facts.build_digest
    assert build(configure(seed=1)).build_digest != facts.build_digest


def test_another_space_is_refused_before_the_corpus_is_read(configure, build, model) -> None:
    with pytest.raises(JobFailure) as raised:
        build(configure(spaceID="0" * 12, source={"uri": "file:///no/such.npz", "format": "NPZ"}))
    assert raised.value.code is ExitCode.DIGEST_MISMATCH
    assert model.space in raised.value.message and "0" * 12 in raised.value.message


def corpus(store_root: Path, name: str, inputs: np.ndarray, ids: list[str]) -> dict[str, str]:
    path = store_root / name
    np.savez(path, inputs=inputs, ids=np.array(ids))
    return {"uri": f"file://{path}", "format": "NPZ"}


def refused(build, config) -> JobFailure:
    with pytest.raises(JobFailure) as raised:
        build(config)
    assert raised.value.code is ExitCode.BAD_DATASET
    return raised.value


def test_blank_pages_embed_to_zero_and_are_named(configure, build, store_root, letters) -> None:
    inputs = letters.inputs[:1500].copy()
    inputs[[3, 1030]] = 0
    source = corpus(store_root, "blank.npz", inputs, [f"page-{row}" for row in range(len(inputs))])
    failure = refused(build, configure(source=source))
    assert failure.reason == "DegenerateVectors"
    assert "page-3" in failure.message and "page-4" not in failure.message


def test_a_corpus_of_another_shape_says_both(configure, build, store_root) -> None:
    inputs = np.ones((4, 9, 9), dtype=np.uint8)
    failure = refused(build, configure(source=corpus(store_root, "s.npz", inputs, list("abcd"))))
    assert failure.reason == "InputMismatch"
    assert "[9, 9]" in failure.message and "[20, 20]" in failure.message


def test_one_row_is_too_few(configure, build, store_root, letters) -> None:
    source = corpus(store_root, "one.npz", letters.inputs[:1], ["only"])
    assert refused(build, configure(source=source)).reason == "CorpusTooSmall"


def test_a_corpus_without_labels_is_indexed(configure, build, store, store_root, letters, tmp_path):
    source = corpus(store_root, "plain.npz", letters.inputs[:30], [f"é{row}" for row in range(30)])
    facts = build(configure(source=source, recipe={"type": "Flat"}))
    opened = open_build(tmp_path, store.fetch(facts.build_digest, tmp_path, BuildManifest))
    assert [opened.ids[3], opened.labels[3]] == ["é3", ""]


@pytest.mark.parametrize("name", ROLES)
def test_a_copy_damaged_in_the_store_is_named_and_never_parsed(
    configure, build, store_copy, flip, letters, monkeypatch, name
) -> None:
    """The build publishes, a bit flips, and the build's own look at its copy finds it."""
    root = Path(store_copy.uri.removeprefix("file://"))
    source = corpus(root, "few.npz", letters.inputs[:40], letters.ids[:40].tolist())
    publish, parsed = ArtifactStore.publish, []

    def publish_and_damage(self, directory, manifest):
        digest = publish(self, directory, manifest)
        flip(root, digest, name)
        return digest

    monkeypatch.setattr(ArtifactStore, "publish", publish_and_damage)
    monkeypatch.setattr(faiss, "read_index", lambda *given: parsed.append(given))
    with pytest.raises(ArtifactError, match=rf"^{name} of artifact sha256:.* is corrupt"):
        build(configure(artifacts=store_copy.to_wire(), source=source))
    assert not parsed


def test_a_stop_ends_the_build_and_publishes_nothing(configure, store_root) -> None:
    config = configure(seed=77)
    stopping = Stopping()

    class StopWhileIndexing(Reporter):
        def report(self, phase: Phase, done: int = 0, total: int = 0, **metrics: float) -> None:
            if phase is Phase.INDEXING:
                stopping.set()

    before = sorted(store_root.glob("manifests/sha256/*"))
    reporter = StopWhileIndexing("Build", config.release, stream=io.StringIO())
    with pytest.raises(JobFailure) as raised:
        building.build(config, ArtifactStore.open(config.artifacts), reporter, stopping)
    assert raised.value.code is ExitCode.PREEMPTED
    assert sorted(store_root.glob("manifests/sha256/*")) == before


def test_the_program_reports_once_and_then_again_from_the_store(run, configure) -> None:
    config = configure(releaseUID="uid-process", recipe={"type": "Flat"})
    first = run(config)
    assert first.wait() == 0, first.lines
    assert first.result.reason == "Succeeded" and first.result.build is not None
    phases = [json.loads(line).get("phase") for line in first.lines]
    assert [phase for phase in dict.fromkeys(phases) if phase] == [
        *("Validating", "Embedding", "Indexing", "Evaluating", "Publishing", "Done")
    ]
    second = run(config)
    assert second.wait() == 0
    assert second.result.reason == "AlreadyDone" and second.result.build == first.result.build
    assert not any("Embedding" in line for line in second.lines)


def test_a_damaged_model_is_refused_by_the_program(
    run, configure, store_copy, flip, model, letters
) -> None:
    flip(Path(store_copy.uri.removeprefix("file://")), model.digest, "model.onnx")
    program = run(configure(artifacts=store_copy.to_wire()))
    assert program.wait() == ExitCode.DIGEST_MISMATCH
    assert "model.onnx" in program.result.message and program.result.build is None
