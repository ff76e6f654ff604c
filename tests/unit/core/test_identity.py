"""Every response says who gave it, and nobody answers for another."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from lockstep_core.protocol import headers
from lockstep_core.serving.identity import (
    Identity,
    IdentityHolder,
    IdentityMiddleware,
    answer_in_space,
)
from tests.unit.core.asgi import OTHER, SPACE, call, impostor, scope_with

pytestmark = pytest.mark.unit


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


def test_a_refused_build_is_told_in_words_of_builds() -> None:
    ours = Identity("r1", SPACE, SPACE, "sha256:1")
    build, space = ours.refusal(SPACE, "sha256:2"), ours.refusal(OTHER, "sha256:1")
    assert build is not None and space is not None
    assert "another build of an index may hold other rows" in build and "two spaces" not in build
    assert "vectors of two spaces cannot be compared" in space and "build" not in space


async def test_identity_replaces_what_the_application_claims() -> None:
    app = IdentityMiddleware(impostor, holder=IdentityHolder(Identity("r1", SPACE)))
    status, found, body = await call(app, scope_with())
    assert (status, body) == (200, b"answered")
    assert found[headers.SPACE] == SPACE and found[headers.RELEASE] == "r1"


async def test_an_answer_in_a_space_of_its_own_says_so() -> None:
    async def cuts(scope: Scope, receive: Receive, send: Send) -> None:
        answer_in_space(scope, "c" * 12)
        await impostor(scope, receive, send)

    app = IdentityMiddleware(cuts, holder=IdentityHolder(Identity("r1", SPACE)))
    _, found, _ = await call(app, scope_with())
    assert found[headers.SPACE] == "c" * 12 and found[headers.RELEASE] == "r1"


async def test_409_names_both_and_carries_the_identity() -> None:
    app = IdentityMiddleware(impostor, holder=IdentityHolder(Identity("r1", SPACE)))
    status, found, body = await call(app, scope_with((headers.EXPECTED_SPACE, OTHER)))
    assert status == 409 and found[headers.SPACE] == SPACE
    error = orjson.loads(body)["error"]
    assert SPACE in error["message"] and OTHER in error["message"]
    assert error["code"] == "identity_mismatch"
