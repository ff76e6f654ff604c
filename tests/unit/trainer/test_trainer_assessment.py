"""Ranking, verification, spread and mistakes against their definitions, written out."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep_trainer.evaluation import Evaluation, assess, measure, ranking, verification
from lockstep_trainer.evaluation.mistakes import worst_classes, worst_confusions
from lockstep_trainer.evaluation.ranking import rank
from lockstep_trainer.evaluation.spread import effective_rank, singular_values
from lockstep_trainer.evaluation.verification import error_rates, verify

pytestmark = pytest.mark.unit


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Points of a small lattice, so that ties abound and no number is rounded."""
    count = draw(st.integers(3, 14))
    points = draw(st.lists(st.tuples(*[st.integers(-1, 1)] * 2), min_size=count, max_size=count))
    labels = draw(st.lists(st.sampled_from("abc"), min_size=count, max_size=count))
    if len(set(labels)) == len(labels):
        labels[1] = labels[0]
    return np.array(points, dtype=np.float32), np.array(labels)


def order_of(points: np.ndarray, query: int) -> list[int]:
    return sorted(
        (row for row in range(len(points)) if row != query),
        key=lambda row: (float(((points[row] - points[query]) ** 2).sum()), row),
    )


@settings(max_examples=60, deadline=None)
@given(labelled())
def test_ranks_follow_their_definitions(case: tuple[np.ndarray, np.ndarray]) -> None:
    points, labels = case
    found = rank(points, labels)
    for at, query in enumerate(found.queries):
        order = order_of(points, query)
        places = [i + 1 for i, row in enumerate(order) if labels[row] == labels[query]]
        precision = [(i + 1) / place for i, place in enumerate(places)]
        assert found.average_precision[at] == pytest.approx(sum(precision) / len(places))
        assert found.reciprocal_rank[at] == pytest.approx(1 / places[0])
        assert found.nearest[at] == order[0]
        own = order[places[0] - 1]
        assert found.nearest_own[at] == own
        wanted = math.dist(points[own], points[query])
        assert found.distance_own[at] == pytest.approx(wanted)
    queries = [row for row in range(len(labels)) if (labels == labels[row]).sum() > 1]
    assert found.queries.tolist() == queries
    quality = measure(points, labels)
    # A first hit at rank 1 is exactly what recall@1 counts.
    assert quality.recall_at_1 == pytest.approx((found.reciprocal_rank == 1).mean())
    precision = [
        sum(labels[row] == labels[query] for row in order_of(points, query)[:5]) / 5
        for query in queries
    ]
    assert quality.precision_at_5 == pytest.approx(np.mean(precision))


def test_average_precision_and_reciprocal_rank_by_hand() -> None:
    # From 0: b (1), a (2), b (3), a (4): precision 1/2 and 2/4; first at rank 2.
    points = np.array([[0.0], [1], [2], [3], [4]], dtype=np.float32)
    found = rank(points, np.array(["a", "b", "a", "b", "a"]))
    assert found.average_precision[0] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert found.reciprocal_rank[0] == 1 / 2


def test_blocks_change_nothing_and_queries_are_bounded(monkeypatch) -> None:
    generator = np.random.default_rng(0)
    points = generator.normal(size=(120, 5)).astype(np.float32)
    labels = np.repeat(np.arange(30).astype(str), 4)
    whole = rank(points, labels)
    monkeypatch.setattr(ranking, "BLOCK_ENTRIES", 300)
    monkeypatch.setattr(ranking, "ROWS_PER_PRODUCT", 17)
    parts = rank(points, labels)
    assert np.array_equal(parts.nearest, whole.nearest)
    assert parts.average_precision == pytest.approx(whole.average_precision)
    monkeypatch.setattr(ranking, "MAX_QUERIES", 50)
    assert len(rank(points, labels).queries) == 50
    assert np.array_equal(
        rank(points, labels, seed=3).queries, rank(points, labels, seed=3).queries
    )
    monkeypatch.setattr(ranking, "MIN_QUERIES", 7)
    monkeypatch.setattr(ranking, "MAX_ENTRIES", 120)
    assert len(rank(points, labels).queries) == 7


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    st.lists(st.integers(-3, 3), min_size=1, max_size=12),
)
def test_error_rates_follow_their_definitions(genuine: list[int], impostor: list[int]) -> None:
    found = error_rates(np.array(genuine, float), np.array(impostor, float))
    rates = []
    for threshold in [*sorted({*genuine, *impostor}), math.inf]:
        fnmr = sum(score < threshold for score in genuine) / len(genuine)
        fmr = sum(score >= threshold for score in impostor) / len(impostor)
        rates.append((threshold, fmr, fnmr))
    least = min(abs(fmr - fnmr) for _, fmr, fnmr in rates)
    _, fmr, fnmr = next(rate for rate in rates if rate[0] == found.threshold)
    assert abs(fmr - fnmr) == pytest.approx(least)
    assert found.eer == pytest.approx((fmr + fnmr) / 2)
    for bound, value in found.fnmr_at_fmr:
        assert value == pytest.approx(min(n for _, m, n in rates if m <= bound))


def test_error_rates_by_hand() -> None:
    apart = error_rates(np.array([0.8, 0.9]), np.array([0.1, 0.2]))
    assert (apart.eer, apart.threshold) == (0.0, 0.8)
    assert apart.fnmr_at_fmr == ((0.01, 0.0), (0.001, 0.0))
    # One of four on each side is on the wrong one.
    crossed = error_rates(np.array([0.3, 0.7, 0.8, 0.9]), np.array([0.1, 0.2, 0.25, 0.75]))
    assert crossed.eer == 0.25
    assert crossed.fnmr_at_fmr[0] == (0.01, 0.5)


def test_all_pairs_or_a_bounded_seeded_draw_that_agrees(monkeypatch) -> None:
    generator = np.random.default_rng(0)
    sizes = [2, 3, 40, 1, 14]
    labels = np.repeat(list("abcde"), sizes)
    points = generator.normal(size=(60, 4)).astype(np.float32) + 2 * np.eye(5, 4)[
        np.repeat(range(5), sizes)
    ].astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    whole = verify(points, labels)
    pairs = list(combinations(range(60), 2))
    same = [float(points[i] @ points[j]) for i, j in pairs if labels[i] == labels[j]]
    other = [float(points[i] @ points[j]) for i, j in pairs if labels[i] != labels[j]]
    assert whole is not None
    assert (whole.genuine_pairs, whole.impostor_pairs) == (len(same), len(other))
    wanted = error_rates(np.array(same), np.array(other))
    assert whole.eer == pytest.approx(wanted.eer)
    monkeypatch.setattr(verification, "MAX_PAIRS", 600)
    drawn = verify(points, labels, seed=1)
    assert drawn is not None and drawn == verify(points, labels, seed=1)
    assert drawn.genuine_pairs == 600 and drawn.impostor_pairs < 600
    assert drawn.eer == pytest.approx(whole.eer, abs=0.06)


def test_draws_are_uniform_over_pairs_of_one_class(monkeypatch) -> None:
    groups = ranking.Groups.of(np.repeat(list("abc"), [2, 3, 6]))
    monkeypatch.setattr(verification, "MAX_PAIRS", 18)
    counts: dict[tuple[int, int], int] = {}
    for seed in range(400):
        left, right = verification._genuine(groups, np.random.default_rng(seed))
        assert (groups.codes[left] == groups.codes[right]).all() and (left != right).all()
        for pair in zip(np.minimum(left, right), np.maximum(left, right), strict=True):
            counts[pair] = counts.get(pair, 0) + 1
    # 1 + 3 + 15 pairs, 7200 draws.
    assert len(counts) == 19
    assert min(counts.values()) > 280 and max(counts.values()) < 480


def test_one_class_verifies_nothing_and_rare_others_are_found(monkeypatch) -> None:
    points = np.eye(4, dtype=np.float32)
    assert verify(points, np.array(list("aaaa"))) is None
    assert verify(points, np.array(list("abcd"))) is None
    monkeypatch.setattr(verification, "MAX_PAIRS", 1)
    labels = np.array(["a"] * 400 + ["b"])
    rare = verify(np.ones((401, 1), dtype=np.float32), labels)
    assert rare is not None and rare.impostor_pairs >= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 5))
def test_effective_rank_is_the_entropy_of_the_spectrum(rows: int, columns: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    values = np.linalg.svd(points.astype(np.float64), compute_uv=False)
    assert singular_values(points, seed=0)[-len(values) :] == pytest.approx(values[::-1], abs=1e-6)
    shares = values / values.sum()
    assert effective_rank(points) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()))


def test_effective_rank_by_hand(monkeypatch) -> None:
    assert effective_rank(np.eye(6, dtype=np.float32)) == pytest.approx(6)
    assert effective_rank(np.ones((9, 4), dtype=np.float32)) == pytest.approx(1, abs=1e-3)
    assert effective_rank(np.zeros((3, 3), dtype=np.float32)) == 0
    monkeypatch.setattr("lockstep_trainer.evaluation.spread.MAX_SIDE", 8)
    wide = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)
    assert 6 < effective_rank(wide) <= 8


def test_the_worst_classes_and_confusions_are_the_mislabelled_ones() -> None:
    # Two tight classes far apart, and a third of which one item lies in the first.
    points = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [9.0], [9.1], [0.16]], np.float32)
    labels = np.array(list("aaabbbccc"))
    ranked = rank(points, labels)
    worst = worst_classes(ranked, labels)
    assert [found.label for found in worst] == ["a", "c"]
    assert worst[0].recall_at_1 == pytest.approx(1 / 3)
    assert worst[0].taken_for == "c" and worst[1].taken_for == "a"
    assert worst[1].queries == 3 and worst[1].to_wire()["recallAt1"] == pytest.approx(
        2 / 3, abs=1e-6
    )
    (first,) = worst_confusions(ranked, labels)
    # c's stray is surest of the wrong class; a's items next to it are the same pair of classes.
    assert (first.row, first.nearest, first.own) == (8, 2, 6)
    assert first.distance == pytest.approx(0.04) and first.own_distance == pytest.approx(8.84)


def test_an_assessment_has_all_numbers_and_refuses_what_is_none() -> None:
    points = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    labels = np.repeat(["a", "b", "c"], 4)
    wire = assess(points, labels).to_wire()
    assert {wire[name] for name in ("recallAt1", "mapAtR", "map", "mrr")} == {1.0}
    assert wire["precisionAt5"] == pytest.approx(3 / 5) and wire["effectiveRank"] == 3
    assert wire["verification"]["eer"] == 0 and wire["verification"]["genuinePairs"] == 18
    beside = Evaluation(*[assess(points, labels)] * 3).to_wire()
    assert set(beside) == {"trained", "untrained", "raw"}
    points[3, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        assess(points, labels)
