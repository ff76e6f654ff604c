"""The real program: its exit codes, what it prints, and what it leaves in the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep_core.artifacts import ArtifactStore, ModelManifest, Role
from lockstep_core.encoding import Encoder
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.result import Result
from lockstep_core.protocol.storage import ArtifactsSpec

pytestmark = [pytest.mark.unit, pytest.mark.programs]


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "OMP_NUM_THREADS": "1",
        "LOCKSTEP_TERMINATION_PATH": str(tmp_path / "termination"),
        **more,
    }


def run(tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lockstep_trainer", *arguments],
        env=environment(tmp_path, **more),
        capture_output=True,
        text=True,
        timeout=120,
    )


def result_of(done: subprocess.CompletedProcess[str], tmp_path: Path) -> Result:
    """That of a run is on standard output too; there a validation has its report."""
    if "lockstep.dev/validation/v1" in done.stdout:
        report = json.loads(done.stdout)
        assert report["exitCode"] == done.returncode and report["errors"]
        return Result.from_json((tmp_path / "termination").read_text())
    line = done.stdout.strip().splitlines()[-1]
    assert (tmp_path / "termination").read_text() == line
    return Result.from_json(line)


def test_a_run_publishes_what_it_reports_and_a_second_one_reports_it_again(
    tmp_path, wire, config_file, store_root
):
    done = run(tmp_path, "run", "--config", str(config_file))
    assert done.returncode == 0, done.stderr
    result = result_of(done, tmp_path)
    assert result.reason == "Succeeded"
    facts = result.training
    assert facts is not None
    assert (facts.steps, facts.dimension, facts.normalisation) == (80, 16, "L2")
    assert set(facts.metrics) == {
        "recallAt1", "mapAtR", "rawRecallAt1", "untrainedRecallAt1",
        "variance", "meanCosine", "finalLoss", "activeTriplets",
    }  # fmt: skip
    assert facts.metrics["recallAt1"] > facts.metrics["untrainedRecallAt1"]

    store = ArtifactStore.open(ArtifactsSpec(uri=f"file://{store_root}", claim_name="volume"))
    manifest = store.fetch(facts.artifact_digest, tmp_path / "model", ModelManifest)
    assert manifest.space_id == facts.space_id
    assert {entry.path for entry in manifest.files if entry.role is Role.SERVING} == {
        "model.onnx",
        "preprocess.json",
    }
    Encoder.load(tmp_path / "model", manifest).check_golden()
    report = json.loads((tmp_path / "model" / "report.json").read_text())
    assert report["quality"]["raw"]["recallAt1"] == facts.metrics["rawRecallAt1"]
    assert [point["step"] for point in report["curve"]] == list(range(10, 81, 10))
    assert report["training"] == TrainConfig.model_validate(wire).training.to_wire()

    again = run(tmp_path, "run", LOCKSTEP_CONFIG=json.dumps(wire))
    assert again.returncode == 0, again.stderr
    repeated = result_of(again, tmp_path)
    assert repeated.reason == "AlreadyDone"
    assert repeated.training == facts
    assert "Training" not in again.stderr


def test_validate_describes_a_good_set_and_warns(tmp_path, wire):
    wire["training"]["batch"] = {"classes": 2, "perClass": 16}
    done = run(tmp_path, "validate", LOCKSTEP_CONFIG=json.dumps(wire))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["heldOut"] == {"items": 190, "classes": 19}
    assert summary["training"] == {"items": 430, "classes": 43}
    assert summary["input"] == {"kind": "Image", "shape": [16, 16], "dtype": "uint8"}
    assert any("batch.perClass is 16" in warning["what"] for warning in summary["warnings"])
    assert not (tmp_path / "termination").exists()


def test_a_run_publishes_weights_in_float16_where_its_spec_says_so(tmp_path, wire, store_root):
    wire["training"] |= {"budget": {"maxSteps": 20}, "export": {"weights": "Float16"}}
    done = run(tmp_path, "run", LOCKSTEP_CONFIG=json.dumps(wire))
    assert done.returncode == 0, done.stderr
    facts = result_of(done, tmp_path).training
    assert facts is not None
    store = ArtifactStore.open(ArtifactsSpec(uri=f"file://{store_root}", claim_name="volume"))
    manifest = store.fetch(facts.artifact_digest, tmp_path / "model", ModelManifest)
    assert manifest.provenance["weights"] == "Float16" and manifest.kind is None
    Encoder.load(tmp_path / "model", manifest).check_golden()
    told = json.loads((tmp_path / "model" / "report.json").read_text())["float16"]
    assert told["minCosine"] > 0.9999 and told["top10Overlap"] > 0.95


def vectors(root: Path, wire: dict[str, Any]) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(60, 5)).astype(np.float32)
    np.savez(root / "glyphs.npz", inputs=inputs, labels=np.repeat(np.arange(15).astype(str), 4))
    wire["training"]["batch"] = {"classes": 4, "perClass": 2}


def singletons(root: Path, wire: dict[str, Any]) -> None:
    inputs = np.zeros((30, 4, 4), dtype=np.uint8)
    np.savez(root / "glyphs.npz", inputs=inputs, labels=np.arange(30).astype(str))


def damaged(root: Path, wire: dict[str, Any]) -> None:
    (root / "glyphs.npz").write_bytes(b"PK not a zip")


def typo(root: Path, wire: dict[str, Any]) -> None:
    wire["training"]["budget"] = {"maxStep": 3}


def other_bytes(root: Path, wire: dict[str, Any]) -> None:
    wire["training"]["data"]["digest"] = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("command", "spoil", "code", "words"),
    [
        ("run", typo, 2, ["training.budget.maxStep"]),
        ("validate", typo, 2, ["training.budget.maxStep"]),
        ("validate", vectors, 2, ["training.encoder.kind", "MLP"]),
        ("run", singletons, 3, ["2 items"]),
        ("validate", singletons, 3, ["2 items"]),
        ("validate", damaged, 3, ["glyphs.npz"]),
        ("validate", other_bytes, 6, ["expected sha256:000"]),
    ],
)
def test_bad_input_is_refused_before_training(
    tmp_path, store_root, wire, command, spoil, code, words
):
    spoil(store_root, wire)
    done = run(tmp_path, command, LOCKSTEP_CONFIG=json.dumps(wire))
    assert done.returncode == code, done.stderr
    message = result_of(done, tmp_path).message
    assert all(word in message for word in words), message
    assert not (store_root / "manifests").exists()


def test_help_teaches_the_config_and_the_exit_codes(tmp_path):
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    start, end = done.stdout.index("  {"), done.stdout.index("`items.npz`")
    config = TrainConfig.model_validate_json(done.stdout[start:end])
    assert config.training.budget.max_steps == 400
    assert "75  stopped" in done.stdout
