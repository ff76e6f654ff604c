"""Values of verbs: which release they mean, and a value that was not used yet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep_core.protocol.verbs import Verb, annotation, fresh_token, number_of

pytestmark = pytest.mark.unit


def test_the_annotation_of_a_verb() -> None:
    assert annotation(Verb.ROLLBACK) == "lockstep.dev/rollback"


@pytest.mark.parametrize(
    ("token", "number"),
    [
        ("r13", 13),
        ("glyphs-r13", 13),
        ("r13.2", 13),
        ("glyphs-r13.4", 13),
        (" r1 ", 1),
        ("other-r13", None),
        ("r0", None),
        ("13", None),
        ("r13.", None),
        ("", None),
    ],
)
def test_a_token_means_a_release_of_its_own_model(token: str, number: int | None) -> None:
    assert number_of(token, "glyphs") == number


@pytest.mark.parametrize(
    ("used", "token"),
    [
        ([], "r2"),
        ([""], "r2"),
        (["r1"], "r2"),
        (["r1.7"], "r2"),
        (["r2"], "r2.2"),
        (["glyphs-r2"], "r2.2"),
        (["r2", "r2.2"], "r2.3"),
    ],
)
def test_a_fresh_token_counts_up_only_when_it_must(used: list[str], token: str) -> None:
    assert fresh_token("r2", used) == token


@given(st.lists(st.from_regex(r"(glyphs-)?r[1-9](\.[0-9]{1,3})?", fullmatch=True), max_size=6))
def test_a_fresh_token_is_new_and_means_the_release(used: list[str]) -> None:
    token = fresh_token("r2", used)
    assert token not in used
    assert number_of(token, "glyphs") == 2
