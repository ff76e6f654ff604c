"""What is odd about a set that can be trained on; and what is said of a config."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from lockstep_core.artifacts import sha256_bytes
from lockstep_core.datasets import Dataset, Problem
from lockstep_core.protocol.config import TrainConfig
from lockstep_core.protocol.training import BatchSpec
from lockstep_trainer.validation.advice import config_problems
from lockstep_trainer.validation.cautions import class_cautions, content_cautions
from lockstep_trainer.validation.neighbours import nearest, neighbour_cautions, whole_classes

pytestmark = pytest.mark.unit

BATCH = BatchSpec(classes=4, per_class=2)
MANY = np.repeat([f"c{number:02}" for number in range(24)], 4)


def said(problems: list[Problem]) -> str:
    return "\n".join(map(str, problems))


def clusters(classes: int = 12, items: int = 12, spread: float = 0.1) -> Dataset:
    """Classes that raw vectors tell apart."""
    generator = np.random.default_rng(0)
    codes = np.repeat(np.arange(classes), items)
    centres = generator.normal(size=(classes, 8))
    inputs = centres[codes] + spread * generator.normal(size=(len(codes), 8))
    return Dataset(
        inputs=inputs.astype(np.float32),
        labels=codes.astype(np.str_),
        ids=np.arange(len(codes)).astype(np.str_),
        digest=sha256_bytes(b""),
    )


def halves(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(len(dataset))
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


@pytest.mark.parametrize(
    ("training", "held_out", "batch", "words"),
    [
        (MANY[:40], MANY[80:], BATCH, ["only 10 classes", "fewer than 20"]),
        (np.append(MANY, "one"), MANY[:4], BATCH, ["single item", "1 (e.g. one)"]),
        (
            MANY,
            MANY[:4],
            BatchSpec(classes=4, per_class=6),
            ["perClass is 6", "batch.perClass to 4"],
        ),
        (np.append(MANY, ["big"] * 99), MANY[:4], BATCH, ["20 times the median of 4", "big: 99"]),
        (MANY, np.append(MANY[:4], "alone"), BATCH, ["held-out classes with a single", "alone"]),
    ],
)
def test_odd_classes_are_told(
    training: np.ndarray, held_out: np.ndarray, batch: BatchSpec, words: list[str]
) -> None:
    (caution,) = class_cautions(training, held_out, batch)
    for word in words:
        assert word in str(caution)


def test_even_classes_give_no_caution() -> None:
    assert class_cautions(MANY, MANY[:8], BATCH) == []


def test_equal_items_under_two_labels_and_on_two_sides_are_told() -> None:
    found = clusters()
    found.inputs[1] = found.inputs[0]
    found.inputs[13] = found.inputs[0]
    found.inputs[80] = found.inputs[79]
    found.inputs[100] = found.inputs[2]
    text = said(content_cautions(found, halves(found)))
    assert "equal to one of another class: 2 (e.g. 0 = 1 (rows 0 and 13), 0 = 8" in text
    assert "on the other side of the split: 1 (e.g. rows 2 and 100)" in text
    assert content_cautions(clusters(), halves(found)) == []


def test_an_item_among_another_class_is_taken_for_label_noise() -> None:
    found = clusters()
    found.labels[5] = "3"
    cautions, _ = neighbour_cautions(found, halves(found))
    assert "label noise?): 1 (e.g. row 5: 3 among 0)" in said(cautions)
    clean, recall = neighbour_cautions(clusters(spread=0.7), halves(found))
    assert recall is not None and 0.5 < recall < 0.98
    assert clean == []


def test_a_task_that_raw_items_solve_and_a_flood_of_copies_are_told() -> None:
    found = clusters()
    found.inputs[:24] = found.inputs[[0] * 12 + [12] * 12] + 1e-5
    cautions, recall = neighbour_cautions(found, halves(found))
    assert recall == 1
    assert "recall@1 1.000 on 72 held-out items" in said(cautions)
    assert "near copies of another of their class: 24" in said(cautions)


def test_texts_have_neighbours_too() -> None:
    texts = [f"{word} {number}" for word in ("apple", "house", "river") for number in range(8)]
    found = Dataset(
        inputs=np.array(texts, np.dtypes.StringDType()),
        labels=np.repeat(list("abc"), 8),
        ids=np.arange(24).astype(np.str_),
        digest=sha256_bytes(b""),
    )
    assert neighbour_cautions(found, (np.arange(16), np.arange(16, 24)))[1] == 1


def test_a_set_of_one_item_many_times_takes_no_time() -> None:
    """An exact order among equal items would compare each with each, in float64."""
    found = clusters()
    found.inputs[:] = 1
    cautions, recall = neighbour_cautions(found, halves(found))
    assert recall is not None
    assert said(cautions)
    rows, distances = nearest(np.ones((9, 4), np.float32) / 2, 3)
    assert rows.shape == (9, 3) and (distances < 1e-3).all()
    assert (rows != np.arange(9)[:, None]).all()


def test_a_sample_holds_whole_classes() -> None:
    labels = np.repeat(np.arange(50).astype(np.str_), 10)
    rows = np.arange(0, 500)
    chosen = whole_classes(labels, rows, limit=100)
    assert (chosen == whole_classes(labels, rows, limit=100)).all()
    _, counts = np.unique(labels[chosen], return_counts=True)
    assert set(counts) == {10} and 80 <= len(chosen) <= 120
    assert len(whole_classes(np.repeat(["a", "b"], 500), np.arange(1000), limit=100)) <= 120
    assert whole_classes(labels, rows, limit=500) is rows


def wrong(training: dict[str, Any]) -> list[Problem]:
    config = {"release": "a-r1", "releaseUID": "u", "artifacts": {"uri": "file:///a"}}
    with pytest.raises(ValidationError) as caught:
        TrainConfig.model_validate({**config, "training": training})
    return config_problems(caught.value, TrainConfig)


def test_each_field_that_is_wrong_comes_with_its_value_and_a_fix() -> None:
    found = wrong(
        {
            "data": {"uri": "file:///a/b.npz", "format": "npz"},
            "encoder": {"kind": "MLP", "dimensions": 3},
            "budget": {"maxSteps": 0, "unknown": 1},
        }
    )
    text = {problem.what.split(":")[0]: problem for problem in found}
    assert text["training.data.format"].fix.startswith("set `format` to 'NPZ'")
    assert text["training.data.format"].examples == ("'npz'",)
    assert (
        text["training.encoder.dimensions"].fix == "remove `dimensions`; did you mean `dimension`?"
    )
    assert "`maxSteps`" in text["training.budget.maxSteps"].fix
    assert "known are" in text["training.budget.unknown"].fix
