"""Answers of the API server, sorted by what to do."""

from __future__ import annotations

import json

import pytest

from lockstep_operator.runtime import errors

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("code", "reason", "message", "kind"),
    [
        (404, "NotFound", "", errors.NotFound),
        (409, "AlreadyExists", "", errors.AlreadyExists),
        (409, "Conflict", "", errors.Conflict),
        (403, "Forbidden", "exceeded quota", errors.Refused),
        (422, "Invalid", "spec.x: required", errors.Refused),
        (422, "", "testing value /metadata/uid failed", errors.Conflict),
        (410, "Expired", "", errors.Unavailable),
        (429, "TooManyRequests", "", errors.Unavailable),
        (503, "ServiceUnavailable", "", errors.Unavailable),
    ],
)
def test_answers_are_sorted_by_what_to_do(
    code: int, reason: str, message: str, kind: type[errors.ApiError]
) -> None:
    body = json.dumps({"reason": reason, "message": message}).encode()
    assert type(errors.error_from(code, body, {"Retry-After": "7"})) is kind


def test_a_proxys_page_is_no_crash() -> None:
    error = errors.error_from(502, b"<html>bad gateway</html>", {})
    assert isinstance(error, errors.Unavailable)
    assert "bad gateway" in str(error)


def test_retry_after_is_kept() -> None:
    assert errors.error_from(429, b"{}", {"Retry-After": "7"}).retry_after == 7.0
