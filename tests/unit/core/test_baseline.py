"""Raw items as vectors, without any encoder."""

from __future__ import annotations

import numpy as np
import pytest

from lockstep_core.datasets import flatten_raw

pytestmark = pytest.mark.unit


def test_the_raw_baseline_is_normalised() -> None:
    images = np.random.default_rng(0).integers(0, 255, size=(5, 4, 3), dtype=np.uint8)
    images[2] = 0
    flat = flatten_raw(images)
    assert flat.shape == (5, 12)
    assert flat.dtype == np.float32
    assert np.linalg.norm(flat, axis=1) == pytest.approx([1, 1, 0, 1, 1])
    vectors = np.array([[3, 4]], np.float32)
    assert flatten_raw(vectors).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
    assert vectors.tolist() == [[3, 4]]


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_raw_baseline_has_unit_length_at_any_scale(scale: float) -> None:
    inputs = (np.arange(1, 13).reshape(4, 3) * scale).astype(np.float32)
    inputs[3] = 0
    found = flatten_raw(inputs)
    assert np.linalg.norm(found, axis=1).tolist() == pytest.approx([1, 1, 1, 0])
    assert found[0] == pytest.approx(np.array([1, 2, 3]) / np.sqrt(14))


def test_the_raw_baseline_of_texts_finds_those_that_are_written_alike() -> None:
    texts = np.array(
        ["Saint Petersburg", "St Petersburg", "Tokyo", "Tōkyō", "tokyo", "x"],
        np.dtypes.StringDType(),
    )
    flat = flatten_raw(texts)
    assert flat.shape == (6, 512) and flat.dtype == np.float32
    assert np.linalg.norm(flat, axis=1) == pytest.approx(np.ones(6))
    cosines = flat @ flat.T
    assert cosines[2, 4] == pytest.approx(1)
    assert cosines[0, 1] > 0.5 > cosines[0, 2]
    assert flatten_raw(texts[4:]).tolist() == flat[4:].tolist()
