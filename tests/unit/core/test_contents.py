"""Which items are the same, whatever they are called."""

from __future__ import annotations

import numpy as np
import pytest

from lockstep_core.datasets import contents, distinct_items

pytestmark = pytest.mark.unit

LABELS = np.array(["a", "a", "b", "a", "b"])


@pytest.mark.parametrize(
    "inputs",
    [
        np.array([[1, 2], [3, 4], [1, 2], [1, 2], [1, 2]], dtype=np.uint8),
        np.array([[1, 2], [3, 4], [1, 2], [1, 2], [1, 2]], dtype=np.float32),
        np.array(["one", "two", "one", "one", "one"], dtype=np.dtypes.StringDType()),
    ],
    ids=["images", "vectors", "texts"],
)
def test_the_first_item_of_each_content_and_label_stays(inputs: np.ndarray) -> None:
    digests = list(contents(inputs))
    assert len(set(digests)) == 2 and digests[0] == digests[4]
    rows = np.array([3, 1, 0, 4, 2])
    assert distinct_items(inputs, LABELS, rows).tolist() == [3, 1, 4]
    assert distinct_items(inputs, LABELS, rows[:0]).tolist() == []
