"""A sketch on the wire: strict and bounded, whoever sends it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep_core.drift import vectors
from lockstep_core.drift.bet import Bet
from lockstep_core.drift.bet_wire import bet_from_wire, bet_to_wire
from lockstep_core.drift.errors import DriftError, SketchError
from lockstep_core.drift.features import draw
from lockstep_core.drift.sketch import Span, empty
from lockstep_core.drift.sketch_wire import sketch_from_json, sketch_from_wire, sketch_to_wire
from tests.unit.core.drift.windows import accumulated
from tests.unit.core.drift.world import unit

pytestmark = pytest.mark.unit

FEATURES = draw(6, (0.5, 1.0, 2.0), np.random.default_rng(0), size=32)
WITNESS = np.full(32, 0.1, dtype=np.float32)
BET = Bet("policy", "Query", FEATURES.digest, 3, WITNESS, 0.1, 0.01, 0.2)
ROWS = unit(np.random.default_rng(0).standard_normal((600, 6)))
SKETCH = accumulated(FEATURES, [ROWS, ROWS[:3], np.zeros((2, 6))], 3, bets=[BET], spectrum=True)
WIRE = sketch_to_wire(SKETCH)


def test_a_sketch_comes_back_to_float32() -> None:
    read = sketch_from_json(json.dumps(WIRE))
    np.testing.assert_allclose(read.sum_phi, SKETCH.sum_phi, rtol=1e-6)
    assert (read.n, read.span, read.counters) == (600, Span(3, 300), SKETCH.counters)
    assert read.bets == SKETCH.bets
    np.testing.assert_array_equal(read.reservoir.eigenvalues, SKETCH.reservoir.eigenvalues)
    assert sketch_to_wire(read) == WIRE


def test_a_sketch_of_no_embedding_comes_back() -> None:
    sketch = empty(FEATURES.digest, 32, 6, Span(3, 300))
    assert sketch_from_wire(sketch_to_wire(sketch)).n == 0


NAN = float("nan")
TORN = [
    ({"schema": "other/v2"}, "schema"),
    ({"n": -1}, "`n`"),
    ({"n": 10**400}, "`n`"),
    ({"n": 600.0}, "`n`"),
    ({"n": True}, "`n`"),
    ({"n": 601}, "`sampled`"),
    ({"window": -5}, "window"),
    ({"size": 31}, "sumPhi"),
    ({"size": 2**40}, "size"),
    ({"role": "Other"}, "role"),
    ({"featuresDigest": "abc"}, "featuresDigest"),
    ({"sumPhi": "%%%"}, "sumPhi"),
    ({"sumPhi": "é"}, "sumPhi"),
    ({"sumPhi": WIRE["sumPhi"][:-8]}, "sumPhi"),
    ({"sumPhi": vectors.encode(np.full(32, np.nan))}, "not finite"),
    ({"sumPhi": vectors.encode(np.full(32, 1e30))}, "longer than n"),
    ({"sumUnit": vectors.encode(np.full(6, 1e30))}, "longer than n"),
    ({"sumNorm": NAN}, "sumNorm"),
    ({"sumNorm": float("inf")}, "sumNorm"),
    ({"sumNorm": 1e6}, "too large"),
    ({"counters": WIRE["counters"] | {"observed": 5}}, "observed"),
    ({"counters": WIRE["counters"] | {"more": 5}}, "counters.more"),
    ({"counters": None}, "counters"),
    ({"reservoir": WIRE["reservoir"] | {"rows": 601}}, "rows"),
    ({"reservoir": WIRE["reservoir"] | {"pairs": 10**9}}, "pairs"),
    ({"reservoir": WIRE["reservoir"] | {"cosine2": 1e9}}, "cosine2"),
    ({"reservoir": WIRE["reservoir"] | {"full": 2}}, "full"),
    ({"reservoir": WIRE["reservoir"] | {"rank": 1e9}}, "rank"),
    ({"reservoir": WIRE["reservoir"] | {"trace2": 1e9}}, "trace2"),
    ({"reservoir": WIRE["reservoir"] | {"eigenvalues": [9.0]}}, "eigenvalues"),
    ({"reservoir": WIRE["reservoir"] | {"eigenvalues": [0.0] * 17}}, "eigenvalues"),
    ({"bets": [WIRE["bets"][0] | {"n": 601}]}, "bets"),
    ({"bets": [WIRE["bets"][0] | {"sumLog1p": 1e6}]}, "bets"),
    ({"bets": WIRE["bets"] * 2}, "twice"),
    ({"bets": WIRE["bets"] * 17}, "bets"),
    ({"other": 1}, "other"),
]


@pytest.mark.parametrize(("fields", "says"), TORN)
def test_a_torn_or_hostile_sketch_is_refused_by_its_field(
    fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(SketchError, match=r"again|leave it out") as refused:
        sketch_from_wire(WIRE | fields)
    assert says in str(refused.value)


@pytest.mark.parametrize("field", sorted(WIRE.keys() - {"windows", "bets"}))
def test_every_field_is_needed(field: str) -> None:
    with pytest.raises(SketchError, match=field):
        sketch_from_wire({name: value for name, value in WIRE.items() if name != field})


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 10_000, b"x" * (600 * 1024), b"null", b"[]"],
)
def test_what_is_no_sketch_is_refused(data: bytes) -> None:
    with pytest.raises(SketchError):
        sketch_from_json(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(WIRE)), JSON)
def test_no_field_breaks_the_reader(field: str, value: object) -> None:
    try:
        sketch = sketch_from_wire(WIRE | {field: value})
    except SketchError:
        return
    assert np.isfinite(sketch.sum_phi).all()


def test_a_bet_comes_back_whole_and_a_changed_one_is_refused() -> None:
    wire = json.loads(json.dumps(bet_to_wire(BET)))
    assert bet_from_wire(wire, FEATURES.digest).digest == BET.digest
    for field, value in (("lambda", 0.1), ("fromWindow", 1), ("epsilon", 0.02), ("key", "other")):
        with pytest.raises(DriftError, match="digest"):
            bet_from_wire(wire | {field: value}, FEATURES.digest)
    with pytest.raises(DriftError, match="digest"):
        bet_from_wire(wire, "sha256:" + "0" * 64)
    with pytest.raises(DriftError, match="lambda"):
        bet_from_wire(wire | {"lambda": 5.0}, FEATURES.digest)
    with pytest.raises(DriftError, match="epsilon"):
        bet_from_wire(wire | {"epsilon": 0}, FEATURES.digest)
