"""Work is refused early: without room, or after its deadline."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from lockstep_core.protocol import headers
from lockstep_core.serving.admission import Admission, deadline_of
from lockstep_core.serving.errors import RequestError

pytestmark = pytest.mark.unit


def test_admission_refuses_what_exceeds_the_limit_and_forgets_what_left() -> None:
    admission = Admission(3)
    with admission.admit(2):
        with pytest.raises(RequestError) as refused, admission.admit(2):
            pass
        assert refused.value.status == 429 and refused.value.headers["retry-after"] == "1"
        with admission.admit(1):
            assert admission.items == 3
    with pytest.raises(KeyError), admission.admit(3):
        raise KeyError
    assert admission.items == 0


@given(st.text(alphabet=string.printable, max_size=30))
def test_a_deadline_is_a_time_or_a_400(text: str) -> None:
    sent = Headers(raw=[(headers.DEADLINE.encode(), text.encode())])
    try:
        found = deadline_of(sent, 100.0)
    except RequestError as error:
        assert error.status == 400 and error.param == headers.DEADLINE
    else:
        assert found is not None and 100.0 < found <= 700.0
