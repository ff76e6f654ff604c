"""The shape of live embeddings against what stable's did on the same traffic, line for line."""

from __future__ import annotations

from typing import Any

import pytest

from lockstep_core.protocol.drift import Embedded, Shape
from lockstep_operator.api.gates import Gate
from lockstep_operator.decide.gates import geometry
from lockstep_operator.decide.snapshot.measurements import Sketched

pytestmark = pytest.mark.unit

GATE = {"name": "shape", "type": "Geometry", "maxLoss": "0.05", "minSamples": 1000}
ALONE = "nothing serves beside it"


def of(release: str, n: int = 4000, **fields: Any) -> Embedded:
    """Its participation ratio was 20, and its effective rank 80, on held-out items."""
    ratio, rank = fields.pop("ratio", 20.0), fields.pop("rank", 80.0)
    shapes = {
        "participationRatio": Shape(ratio, 20.0, 0.01),
        "effectiveRank": Shape(rank, 80.0, 0.005),
    }
    return Embedded(release, n, n, **{"shapes": shapes} | fields)


def seen(own: Embedded, stable: Embedded | None, windows: int = 2) -> Sketched:
    return Sketched(own, windows, 300, stable, ALONE if stable is None else "")


def line(found: Sketched, **gate: Any) -> tuple[str, str]:
    said = geometry.judge(Gate.model_validate(GATE | gate), found)
    assert (said.samples, said.bound) == (found.own.n, "5%")
    return str(said.verdict), said.line


def test_what_stable_loses_too_is_no_loss() -> None:
    found = line(seen(of("glyphs-r2", ratio=15.0, rank=64.0), of("glyphs-r1", ratio=15.1, rank=63)))
    assert found == (
        "Pass",
        "query embeddings: participation ratio lost 0.662% beyond r1, loss of 5% allowed OK (95%"
        " over 4 looks: at most 3.81%); n=4,000 in 2 windows of 300 s",
    )


def test_what_it_loses_alone_is() -> None:
    found = line(seen(of("glyphs-r2", ratio=17.0), of("glyphs-r1")), inconclusiveLimit=0)
    assert found == (
        "Fail",
        "query embeddings: participation ratio lost 15% beyond r1, loss of 5% allowed FAIL (95% at"
        " least 12.6%); its embeddings collapse where stable's do not: train it anew; n=4,000 in 2"
        " windows of 300 s",
    )


def test_what_stable_loses_alone_is_a_gain() -> None:
    verdict, said = line(seen(of("glyphs-r2"), of("glyphs-r1", ratio=17.0, rank=60)))
    assert verdict == "Pass" and "participation ratio gained 17.6% beyond r1" in said


def test_the_length_may_not_grow_either() -> None:
    own = of("glyphs-r2", shapes={"normMean": Shape(13.0, 10.0, 0.01)})
    stable = of("glyphs-r1", shapes={"normMean": Shape(1.0, 1.0, 0.01)})
    verdict, said = line(seen(own, stable))
    assert verdict == "Fail" and "mean length changed by 30% beyond r1" in said


def test_what_the_interval_leaves_open_says_how_much_more_decides() -> None:
    verdict, said = line(seen(of("glyphs-r2", ratio=19.4), of("glyphs-r1")))
    assert verdict == "Inconclusive"
    assert "lost 3%" in said and "about 5 windows would decide" in said
    verdict, said = line(seen(of("glyphs-r2", ratio=18.9), of("glyphs-r1")))
    assert verdict == "Inconclusive" and "too few embeddings to show that it fails" in said


def test_without_stable_beside_it_a_loss_decides_nothing_and_none_passes() -> None:
    verdict, said = line(seen(of("glyphs-r2", ratio=10.0), None))
    assert verdict == "Inconclusive" and f"; {ALONE}: narrower traffic" in said
    verdict, said = line(seen(of("glyphs-r2"), None))
    assert verdict == "Pass" and "beyond" not in said


@pytest.mark.parametrize("stable", [None, of("glyphs-r1")])
@pytest.mark.parametrize(
    ("invalid", "verdict"),
    [({"nan": 40}, "Fail"), ({"zero": 20, "dim": 20}, "Fail"), ({"nan": 39}, "Pass")],
)
def test_invalid_embeddings_fail_alone_too(
    stable: Embedded | None, invalid: dict[str, int], verdict: str
) -> None:
    own = of("glyphs-r2", invalid=invalid)
    assert line(seen(own, stable))[0] == verdict


def test_a_candidate_of_nothing_but_nan_fails_with_no_embedding() -> None:
    own = Embedded("glyphs-r2", 0, 900, {"nan": 900})
    assert line(seen(own, of("glyphs-r1"))) == (
        "Fail",
        "query embeddings: 900 of 900 embeddings are invalid (nan: 900), 1% allowed FAIL; no"
        " request excuses that: train it anew; n=0 in 2 windows of 300 s",
    )


def test_invalid_embeddings_of_both_are_for_a_person() -> None:
    both = [of(name, invalid={"zero": 400}) for name in ("glyphs-r2", "glyphs-r1")]
    verdict, said = line(seen(*both))
    assert verdict == "Inconclusive" and "so are those of r1" in said


def test_too_little_of_either_is_no_verdict() -> None:
    for own, stable, short in ((999, 4000, "r2"), (4000, 999, "r1")):
        verdict, said = line(seen(of("glyphs-r2", own), of("glyphs-r1", stable)))
        assert verdict == "Inconclusive"
        assert f"{short} has 999 of 1,000 embeddings needed (`minSamples`)" in said
    verdict, said = line(seen(of("glyphs-r2", shapes={}), of("glyphs-r1")))
    assert verdict == "Inconclusive" and "too few held-out items for a shape" in said
