"""Identity, admission, errors and connection ageing, without a network."""

from __future__ import annotations

import string
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from lockstep_core.protocol import headers
from lockstep_core.protocol.http import EmbeddingsRequest, SearchRequest
from lockstep_core.serving.admission import Admission, deadline_of
from lockstep_core.serving.errors import RequestError, parse
from lockstep_core.serving.identity import (
    Identity,
    IdentityHolder,
    IdentityMiddleware,
    answer_in_space,
)
from lockstep_core.serving.lifecycle import RETIRE_AT, Lifecycle, MaxConnectionAge

pytestmark = pytest.mark.unit

SPACE, OTHER = "a" * 12, "b" * 12


def _scope(*sent: tuple[str, str], **state: Any) -> Scope:
    raw = [(name.encode(), value.encode()) for name, value in sent]
    return {"type": "http", "path": "/x", "method": "GET", "headers": raw, "state": state}


async def _call(app: Any, scope: Scope) -> tuple[int, dict[str, str], bytes]:
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return messages[0]["status"], found, messages[1]["body"]


async def _impostor(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that claims to be of another space."""
    raw = [(headers.SPACE.encode(), OTHER.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send({"type": "http.response.body", "body": b"answered"})


@given(
    space=st.sampled_from([None, SPACE, OTHER]),
    build=st.sampled_from([None, "sha256:1", "sha256:2"]),
    ours=st.sampled_from(
        [
            Identity("r1", SPACE),
            Identity("r1", SPACE, SPACE, "sha256:1"),
            Identity("r1", None, SPACE, "sha256:1"),
        ]
    ),
)
def test_nobody_answers_for_another_space_or_build(
    space: str | None, build: str | None, ours: Identity
) -> None:
    refusal = ours.refusal(space, build)
    mismatched = (space is not None and space != SPACE) or (
        build is not None and ours.build is not None and build != ours.build
    )
    assert (refusal is not None) is mismatched
    if refusal is not None:
        wrong, right = (space, SPACE) if space not in (None, SPACE) else (build, ours.build)
        assert str(wrong) in refusal and str(right) in refusal


async def test_identity_replaces_what_the_application_claims() -> None:
    app = IdentityMiddleware(_impostor, holder=IdentityHolder(Identity("r1", SPACE)))
    status, found, body = await _call(app, _scope())
    assert (status, body) == (200, b"answered")
    assert found[headers.SPACE] == SPACE and found[headers.RELEASE] == "r1"


async def test_an_answer_in_a_space_of_its_own_says_so() -> None:
    async def cuts(scope: Scope, receive: Receive, send: Send) -> None:
        answer_in_space(scope, "c" * 12)
        await _impostor(scope, receive, send)

    app = IdentityMiddleware(cuts, holder=IdentityHolder(Identity("r1", SPACE)))
    _, found, _ = await _call(app, _scope())
    assert found[headers.SPACE] == "c" * 12 and found[headers.RELEASE] == "r1"


async def test_409_names_both_and_carries_the_identity() -> None:
    app = IdentityMiddleware(_impostor, holder=IdentityHolder(Identity("r1", SPACE)))
    status, found, body = await _call(app, _scope((headers.EXPECTED_SPACE, OTHER)))
    assert status == 409 and found[headers.SPACE] == SPACE
    error = orjson.loads(body)["error"]
    assert SPACE in error["message"] and OTHER in error["message"]
    assert error["code"] == "identity_mismatch"


@pytest.mark.parametrize(
    ("now", "draining", "closes"), [(9.9, False, False), (10.0, False, True), (0.0, True, True)]
)
async def test_old_connections_end_with_their_response(
    now: float, draining: bool, closes: bool
) -> None:
    lifecycle = Lifecycle()
    lifecycle.draining = draining
    app = MaxConnectionAge(_impostor, lifecycle=lifecycle, clock=lambda: now)
    _, found, _ = await _call(app, _scope(**{RETIRE_AT: 10.0}))
    assert (found.get("connection") == "close") is closes


def test_ready_needs_every_check_and_ends_with_the_drain() -> None:
    lifecycle = Lifecycle()
    lifecycle.wait_for("index a", "asking")
    lifecycle.passed("start")
    assert lifecycle.waiting == {"index a": "asking"} and not lifecycle.ready
    lifecycle.passed("index a")
    assert lifecycle.ready
    lifecycle.draining = True
    assert list(lifecycle.waiting) == ["drain"]


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
