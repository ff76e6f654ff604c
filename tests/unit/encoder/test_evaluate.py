"""`lockstep-encoder evaluate` as a process over a real held-out set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lockstep_core.datasets import flatten_raw, split_by_class
from lockstep_core.protocol.artifacts import PixelReading
from lockstep_core.protocol.config import EvaluateConfig
from lockstep_core.protocol.datasets import DatasetFormat, LabelledDataset, SplitSpec
from lockstep_core.protocol.environment import TERMINATION_PATH_VARIABLE
from lockstep_core.protocol.exitcodes import ExitCode
from lockstep_core.protocol.result import Result
from lockstep_core.quality.recall import geometry, relevance_recall
from tests.unit.encoder.support import PublishedModel, artifacts, letters, publish_model

pytestmark = [pytest.mark.unit, pytest.mark.programs]

SPLIT = SplitSpec(eval_fraction="0.5", seed=3)


@pytest.fixture
def config(store_root: Path, model: PublishedModel, other_model: PublishedModel) -> EvaluateConfig:
    images, labels = letters()
    np.savez(store_root / "letters.npz", inputs=images, labels=labels)
    return EvaluateConfig(
        release="letters-r2",
        release_uid="uid-2",
        artifacts=artifacts(store_root),
        artifact_digest=model.digest,
        stable_artifact_digest=other_model.digest,
        data=LabelledDataset(
            uri=f"file://{store_root}/letters.npz", format=DatasetFormat.NPZ, split=SPLIT
        ),
        recall_at=(1, 5),
    )


def _run(config: EvaluateConfig, folder: Path, **changes: Any) -> Result:
    (folder / "config.json").write_text(json.dumps({**config.to_wire(), **changes}))
    termination = folder / "termination"
    command = [sys.executable, "-m", "lockstep_encoder", "evaluate"]
    process = subprocess.run(
        [*command, "--config", str(folder / "config.json")],
        env={**os.environ, TERMINATION_PATH_VARIABLE: str(termination)},
        capture_output=True,
    )
    result = Result.from_json(termination.read_text())
    assert process.returncode == result.exit_code
    return result


def test_it_reports_paired_statistics_and_reports_them_again(
    config: EvaluateConfig, model: PublishedModel, other_model: PublishedModel, tmp_path: Path
) -> None:
    result = _run(config, tmp_path)
    facts = result.evaluation
    assert result.exit_code == ExitCode.OK and facts is not None
    images, labels = letters()
    _, held_out = split_by_class(labels, SPLIT)
    inputs, labels = images[held_out], labels[held_out]
    assert (facts.items, facts.classes) == (len(held_out), 13)
    assert facts.artifact_digest == model.digest
    ours, theirs, raw = model.embed(inputs), other_model.embed(inputs), flatten_raw(inputs)
    for found, k in zip(facts.recall, (1, 5), strict=True):
        mine, old, base = (relevance_recall(each, labels, [k])[0] for each in (ours, theirs, raw))
        assert found.k == k and found.candidate.n == len(held_out)
        assert found.candidate.mean == pytest.approx(mine.mean(), abs=1e-6)
        assert found.baseline.mean == pytest.approx(base.mean(), abs=1e-6)
        assert found.gain_over_baseline.mean == pytest.approx((mine - base).mean(), abs=1e-6)
        assert found.stable is not None and found.gain_over_stable is not None
        assert found.stable.mean == pytest.approx(old.mean(), abs=1e-6)
        assert found.gain_over_stable.standard_deviation == pytest.approx(
            (mine - old).std(ddof=1), abs=1e-6
        )
    assert (facts.variance, facts.mean_cosine) == pytest.approx(geometry(ours), abs=1e-5)
    again = _run(config, tmp_path)
    assert again.reason == "AlreadyDone" and again.evaluation == facts


def test_a_retry_measures_what_lies_there_now(
    config: EvaluateConfig, store_root: Path, tmp_path: Path
) -> None:
    """Held-out items were added behind the same URI; the kept report must not answer for them."""
    first = _run(config, tmp_path).evaluation
    images, labels = letters()
    np.savez(
        store_root / "letters.npz",
        inputs=np.concatenate([images, 255 - images]),
        labels=np.concatenate([labels, labels]),
    )
    again = _run(config, tmp_path, attempt=2)
    assert first is not None and again.evaluation is not None
    assert again.reason == "Succeeded" and again.evaluation.items == 2 * first.items
    assert again.evaluation.dataset_digest != first.dataset_digest


def test_equal_items_of_one_label_are_one_item(
    config: EvaluateConfig, store_root: Path, tmp_path: Path
) -> None:
    """A copy of an item is found by any encoder: recall must not rise by it."""
    own = {"releaseUID": "uid-copies"}
    first = _run(config, tmp_path, **own).evaluation
    images, labels = letters()
    same = np.repeat(np.arange(0, len(images), 6), 40)
    np.savez(
        store_root / "letters.npz",
        inputs=np.concatenate([images, images[same]]),
        labels=np.concatenate([labels, labels[same]]),
    )
    again = _run(config, tmp_path, attempt=2, **own).evaluation
    assert first is not None and again is not None
    assert again.dataset_digest != first.dataset_digest
    assert (again.items, again.recall) == (first.items, first.recall)


def test_without_a_stable_release_there_is_nothing_to_compare_with(
    config: EvaluateConfig, tmp_path: Path
) -> None:
    alone = config.model_copy(update={"stable_artifact_digest": None})
    facts = _run(alone, tmp_path).evaluation
    assert facts is not None and facts.recall[0].stable is None
    assert facts.recall[0].gain_over_stable is None


def test_an_artifact_that_is_not_there_is_refused(config: EvaluateConfig, tmp_path: Path) -> None:
    missing = f"sha256:{'0' * 64}"
    result = _run(config, tmp_path, artifactDigest=missing)
    assert result.exit_code == ExitCode.DIGEST_MISMATCH and missing in result.message


def test_a_set_that_the_encoder_does_not_take_is_refused(
    config: EvaluateConfig, store_root: Path, tmp_path: Path
) -> None:
    np.savez(
        store_root / "small.npz",
        inputs=np.zeros((8, 5, 5), np.uint8),
        labels=np.repeat(["a", "b"], 4),
    )
    data = {**config.to_wire()["data"], "uri": f"file://{store_root}/small.npz"}
    result = _run(config, tmp_path, data=data)
    assert result.exit_code == ExitCode.BAD_DATASET and "[5, 5]" in result.message


def test_each_model_sees_images_as_it_reads_them_when_it_serves(
    config: EvaluateConfig, store_root: Path, tmp_path: Path
) -> None:
    """The candidate was trained on what is shown, stable before there was the choice."""
    images, labels = letters()
    for at, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = store_root / "turned" / str(label) / f"{at:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.ascontiguousarray(np.rot90(image))).save(path, exif=exif)
    shown = publish_model(store_root, tmp_path / "s", seed=1, pixels=PixelReading.AS_SHOWN)
    stored = publish_model(store_root, tmp_path / "o", seed=2)
    wire = config.to_wire()
    found = _run(
        config,
        tmp_path,
        artifactDigest=shown.digest,
        stableArtifactDigest=stored.digest,
        releaseUID="uid-turned",
        data={**wire["data"], "uri": f"file://{store_root}/turned", "format": "ImageFolder"},
    ).evaluation
    assert found is not None and found.recall[0].stable is not None
    _, held_out = split_by_class(labels, SPLIT)
    seen = np.stack([np.rot90(image) for image in images])
    for facts, vectors in (
        (found.recall[0].candidate, shown.embed(images[held_out])),
        (found.recall[0].stable, stored.embed(seen[held_out])),
    ):
        wanted = relevance_recall(vectors, labels[held_out], [1])[0].mean()
        assert facts.mean == pytest.approx(wanted, abs=1e-6)
    assert stored.embed(seen) != pytest.approx(stored.embed(images), abs=0.1)
