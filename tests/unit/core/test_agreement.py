"""Golden answers agree up to rounding and ties, and one rule of one table says so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_core.protocol.artifacts import ArtifactKind
from lockstep_core.protocol.http import Neighbour
from lockstep_core.quality.agreement import (
    TOLERANCES,
    embedding_difference,
    neighbour_difference,
)

pytestmark = pytest.mark.unit

KIND = ArtifactKind.FLOAT32


def test_every_kind_has_its_row() -> None:
    assert set(TOLERANCES) == set(ArtifactKind)
    float32 = TOLERANCES[ArtifactKind.FLOAT32]
    assert (float32.coordinate, float32.cosine, float32.distance) == (1e-3, 0.9999, 1e-3)


def test_float32_embeddings_agree_within_their_row() -> None:
    expected = np.eye(3, 8, dtype=np.float32)
    allowed = TOLERANCES[KIND]
    assert allowed.coordinate is not None
    assert embedding_difference(expected, expected, KIND) is None
    near, far = expected.copy(), expected.copy()
    near[0, 0] -= 0.5 * allowed.coordinate
    far[0, 0] -= 1.5 * allowed.coordinate
    assert embedding_difference(expected, near, KIND) is None
    cause = embedding_difference(expected, far, KIND)
    assert cause is not None and f"at most {allowed.coordinate}" in cause


def _turned(*cosines: float) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors, and others at these cosines with them."""
    expected = np.zeros((len(cosines), 4), np.float32)
    expected[:, 0] = 1
    got = np.zeros_like(expected)
    got[:, 0], got[:, 1] = cosines, np.sqrt(1 - np.square(cosines))
    return expected, got


def test_the_bounds_of_8_bits_are_those_of_cosines_alone() -> None:
    """Seen between processors: a coordinate by 0.0168, one item at a cosine of 0.9939."""
    row = TOLERANCES[ArtifactKind.INT8]
    assert (row.coordinate, row.cosine, row.mean_cosine, row.distance) == (None, 0.98, 0.998, 0.03)
    seen = _turned(0.9939, *[0.9995] * 31)
    assert embedding_difference(*seen, ArtifactKind.INT8) is None
    assert embedding_difference(*seen, KIND) is not None
    assert embedding_difference(*_turned(0.981, *[0.999] * 31), ArtifactKind.INT8) is None
    one = embedding_difference(*_turned(0.979, *[1.0] * 31), ArtifactKind.INT8)
    assert one is not None and "least cosine 0.979000 (at least 0.98)" in one
    all_of_them = embedding_difference(*_turned(*[0.997] * 32), ArtifactKind.INT8)
    assert all_of_them is not None and "mean 0.997000 (at least 0.998)" in all_of_them


@pytest.mark.parametrize("kind", ArtifactKind)
def test_no_kind_agrees_with_what_is_no_number_and_each_names_the_processor(
    kind: ArtifactKind,
) -> None:
    expected = np.eye(3, 8, dtype=np.float32)
    broken = expected.copy()
    broken[0, 0] = np.nan
    assert embedding_difference(expected, broken, kind) is not None
    assert embedding_difference(expected, expected[::-1], kind) is not None
    assert "processor (CPU)" in TOLERANCES[kind].cause


def _hits(*pairs: tuple[str, float]) -> list[Neighbour]:
    return [Neighbour(id=name, label="x", distance=distance) for name, distance in pairs]


SEALED = _hits(("a", 0.0), ("b", 0.5), ("c", 0.9))


@pytest.mark.parametrize("kind", ArtifactKind)
@pytest.mark.parametrize(
    ("got", "says"),
    [
        (SEALED, None),
        (_hits(("a", 0.0005), ("b", 0.4995), ("c", 0.9)), None),
        (_hits(("a", 0.0), ("b", 0.5), ("other", 0.9005)), None),
        (_hits(("a", 0.0), ("b", 0.5)), "3 neighbours were expected, 2 came"),
        (_hits(("a", 0.0), ("b", 0.54), ("c", 0.9)), "at rank 2 b at distance 0.5000"),
        (_hits(("a", 0.0), ("other", 0.5), ("c", 0.9)), "b at distance 0.5000 was expected"),
        (_hits(("a", 0.0), ("b", 0.5), ("c", float("nan"))), "at rank 3"),
    ],
)
def test_golden_answers_agree_up_to_ties(
    got: list[Neighbour], says: str | None, kind: ArtifactKind
) -> None:
    cause = neighbour_difference(SEALED, got, kind)
    assert cause is None if says is None else cause is not None and says in cause


def test_a_distance_may_move_by_what_its_kind_allows() -> None:
    for moved, agrees in ((0.502, {ArtifactKind.INT8}), (0.529, {ArtifactKind.INT8}), (0.531, ())):
        got = _hits(("a", 0.0), ("b", moved), ("c", 0.9))
        for kind in ArtifactKind:
            cause = neighbour_difference(SEALED, got, kind)
            assert (cause is None) is (kind in agrees)
            assert cause is None or "at rank 2 b at distance 0.5000" in cause


@given(
    st.lists(st.floats(0, 2, width=32), min_size=1, max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_rounding_and_ties_never_fail_the_golden_check(distances: list[float], seed: int) -> None:
    """Each CPU sorts its own rounded distances; equally far items come in any order."""
    random = np.random.default_rng(seed)
    true, allowed = np.sort(distances), TOLERANCES[KIND].distance

    def ranked() -> list[Neighbour]:
        seen = true + random.uniform(-allowed / 4, allowed / 4, len(true))
        order = np.argsort(seen)[: max(1, len(true) // 2)]
        return _hits(*((f"item {row}", float(seen[row])) for row in order))

    assert neighbour_difference(ranked(), ranked(), KIND) is None


@given(st.lists(st.floats(0, 1.9), min_size=1, max_size=8), st.data())
def test_a_moved_distance_is_always_found(distances: list[float], data: st.DataObject) -> None:
    sealed = _hits(*((f"item {row}", value) for row, value in enumerate(sorted(distances))))
    row = data.draw(st.integers(0, len(sealed) - 1))
    moved = list(sealed)
    moved[row] = sealed[row].model_copy(update={"distance": sealed[row].distance + 0.01})
    assert neighbour_difference(sealed, moved, KIND) is not None


@pytest.mark.parametrize(
    ("sealed", "got", "says"),
    [
        # The last rank of each side is where a tie may let another in.
        ([("a", 0.1), ("b", 0.9000)], [("a", 0.1), ("c", 0.8991)], None),
        ([("a", 0.1), ("b", 0.8991)], [("a", 0.1), ("c", 0.9)], None),
        ([("a", 0.1), ("b", 0.5), ("c", 0.9)], [("a", 0.1), ("d", 0.5), ("c", 0.9)], "b at dist"),
        ([("b", 0.8975), ("c", 0.899)], [("c", 0.8983), ("d", 0.8995)], "b at distance"),
    ],
)
def test_only_a_tie_with_the_last_rank_lets_another_neighbour_in(
    sealed: list[tuple[str, float]], got: list[tuple[str, float]], says: str | None
) -> None:
    cause = neighbour_difference(_hits(*sealed), _hits(*got), KIND)
    assert cause is None if says is None else cause is not None and says in cause
