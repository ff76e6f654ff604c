"""Which release a person means by a token."""

from __future__ import annotations

import pytest

from lockstep_operator.decide.vocabulary.hints import number_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("token", "number"),
    [("r1", 1), ("glyphs-r12", 12), ("r1.2", 1), (" r3 ", 3), ("glyphs-r3.4", 3)],
)
def test_tokens_name_a_release(token: str, number: int) -> None:
    assert number_of(token, "glyphs") == number


@pytest.mark.parametrize("token", ["", "r0", "r", "1", "other-r1", "r1.", "r1 r2", "glyphs"])
def test_other_tokens_name_none(token: str) -> None:
    assert number_of(token, "glyphs") is None
