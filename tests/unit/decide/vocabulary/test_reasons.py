"""Reasons as a vocabulary."""

from __future__ import annotations

import pytest

from lockstep_operator.decide.vocabulary.reasons import Reason

pytestmark = pytest.mark.unit


def test_reasons_are_one_camel_case_word_each_and_none_twice() -> None:
    values = [str(reason) for reason in Reason]
    assert len(set(values)) == len(values)
    assert all(value.isalpha() and value[0].isupper() for value in values)
