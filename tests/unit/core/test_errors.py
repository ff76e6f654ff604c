"""A body that is wrong is refused by the field, and quickly."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lockstep_core.protocol.http import EmbeddingsRequest, SearchRequest
from lockstep_core.serving.errors import RequestError, decoded, parse

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("body", "status", "names"),
    [
        (b"", 400, "JSON"),
        (b"{", 400, "JSON"),
        (b"\xff\xfe", 400, "JSON"),
        (b'{"input": [NaN]}', 400, "JSON"),
        (b'{"input": ' + b"[" * 100_000, 400, "JSON"),
        (b"[1]", 400, "list"),
        (b"null", 400, "NoneType"),
        (b"{}", 422, "`input` is missing"),
        (b'{"input": {"a": 1}}', 422, "`input`"),
        (b'{"input": [[["deep"]]]}', 422, "`input`"),
        (b'{"input": ["a", 1]}', 422, "`input`"),
        (b'{"input": null}', 422, "`input`"),
        (b'{"input": "a", "k": 0}', 422, "`k`"),
        (b'{"input": "a", "k": 1001}', 422, "`k`"),
        (b'{"input": "a", "k": "many"}', 422, "`k`"),
        (b'{"input": "a", "k": "3"}', 422, "`k`"),
        (b'{"input": "a", "k": true}', 422, "`k`"),
        (b'{"input": [true, 0.5]}', 422, "`input`"),
        (b'{"input": [0.5, "1"]}', 422, "`input`"),
        (b'{"input": [[0.5, false]]}', 422, "`input`"),
        (b'{"input": [["0.5", "1"]]}', 422, "`input`"),
        (b'{"input": "a", "index": "No Such"}', 422, "`index`"),
        (b'{"input": "a", "topk": 3}', 422, "`topk`"),
    ],
)
def test_a_bad_body_is_refused_by_name(body: bytes, status: int, names: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse(body, SearchRequest)
    assert refused.value.status == status
    assert names in refused.value.message and len(refused.value.message) < 1000


@pytest.mark.parametrize(
    "value",
    [
        [True] * 10_000,
        [0.5, *["1"] * 10_000],
        ["a", *[1] * 200],
        ["a"] * 10_000,
        [[True] * 10_000] * 200,
        [[]] * 10_000,
    ],
    ids=["booleans", "text in numbers", "numbers in text", "many", "nested", "empty"],
)
def test_a_body_that_is_wrong_everywhere_is_refused_at_its_first_fault(value: list[Any]) -> None:
    """One error for each element and form would take gigabytes for a body of 8 MiB."""
    with pytest.raises(ValidationError) as refused:
        SearchRequest.model_validate({"input": value})
    assert refused.value.error_count() == 1


@pytest.mark.parametrize("numbers", ["[0, 1]", "[0.5, 1]", "[[0, 1.5]]", "[[1], [2]]"])
def test_whole_numbers_are_numbers(numbers: str) -> None:
    found = parse(f'{{"input": {numbers}, "k": 3}}'.encode(), SearchRequest)
    assert found.input == orjson.loads(numbers) and found.k == 3


LIMIT = 1000


def _refused(body: bytes, encoding: str | None) -> RequestError:
    with pytest.raises(RequestError) as refused:
        decoded(body, encoding, LIMIT)
    return refused.value


def test_a_gzip_body_is_unpacked_up_to_the_limit() -> None:
    for size in (0, 1, LIMIT):
        assert decoded(gzip.compress(b"a" * size, mtime=0), "gzip", LIMIT) == b"a" * size
    assert decoded(gzip.compress(b"{}", mtime=0), " GZIP ", LIMIT) == b"{}"
    assert decoded(b"{}", None, LIMIT) == decoded(b"{}", "identity", LIMIT) == b"{}"
    for size in (LIMIT + 1, 100_000_000):
        refused = _refused(gzip.compress(b"a" * size, mtime=0), "gzip")
        assert refused.status == 413 and "unpacks to more than 1000 bytes" in refused.message


@pytest.mark.parametrize(
    ("body", "encoding", "status", "says"),
    [
        (b"{}", "br", 415, "`content-encoding` is 'br': send the body as gzip, or as it is"),
        (b"{}", "gzip, gzip", 415, "send the body as gzip"),
        (gzip.compress(b"{}", mtime=0), None, 400, "send `content-encoding: gzip`"),
        (b"{}", "gzip", 400, "no whole gzip"),
        (b"", "gzip", 400, "cut off"),
        (gzip.compress(b"{}" * 400, mtime=0)[:-1], "gzip", 400, "cut off"),
        (
            gzip.compress(b"{}", mtime=0) + gzip.compress(b"{}", mtime=0),
            "gzip",
            400,
            "more follows its end",
        ),
        (gzip.compress(b"{}", mtime=0) * 20_000, "gzip", 400, "more follows its end"),
        (gzip.compress(b"{}", mtime=0)[:-4] + b"1234", "gzip", 400, "no whole gzip"),
    ],
)
def test_an_encoded_body_is_told_as_what_it_is(
    body: bytes, encoding: str | None, status: int, says: str
) -> None:
    refused = _refused(body, encoding)
    assert refused.status == status and says in refused.message
    assert refused.param == "content-encoding"
    if status == 415:
        assert refused.headers == {"accept-encoding": "gzip, identity"}


def test_no_encoding_of_the_answer_is_asked_for_by_null() -> None:
    asked = parse(
        b'{"input": "a", "encoding_format": null, "dimensions": null, "user": null}',
        EmbeddingsRequest,
    )
    assert asked.encoding_format is asked.dimensions is asked.user is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["input", "model", "x"]), inner)
        ),
    )
)
def test_any_json_is_parsed_or_refused(value: Any) -> None:
    try:
        parse(orjson.dumps(value), EmbeddingsRequest)
    except RequestError as error:
        assert error.status in (400, 422)
