"""What a call to the API server can fail with, sorted by what the caller should do."""

from __future__ import annotations

from typing import Any

import orjson


class ApiError(Exception):
    """A call failed. `code` is the HTTP status, 0 when no answer came."""

    def __init__(self, code: int, reason: str, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(f"{code} {reason}: {message}" if code else f"{reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class NotFound(ApiError):
    """404: the object, or its namespace, is not there."""


class AlreadyExists(ApiError):
    """409 on a create: an object of that name is there."""


class Conflict(ApiError):
    """409: what was read is no longer what is there. Read again and decide again."""


class Refused(ApiError):
    """A 4xx that does not pass by itself: admission, schema, quota, RBAC."""


class Unavailable(ApiError):
    """No answer, 429 or 5xx: the same call is worth sending again later."""


class NotLeading(Unavailable):
    """A write was held back: the Lease was not renewed lately, so another may lead by now."""


# 422s that mean "another object": a failed `test` of a JSON patch, and the uid of an apply.
_NOT_THE_SAME_OBJECT = ("testing value /metadata/", "metadata.uid: Invalid value")


def error_from(code: int, body: bytes, headers: Any) -> ApiError:
    """Sorts an answer of 400 and above. `body` is a metav1.Status, or a proxy's page."""
    reason, message = "", body[:500].decode(errors="replace")
    try:
        status = orjson.loads(body)
        reason, message = status.get("reason") or "", status.get("message") or message
    except (orjson.JSONDecodeError, AttributeError):
        pass
    if code == 404:
        return NotFound(code, reason, message)
    if code == 409:
        kind = AlreadyExists if reason == "AlreadyExists" else Conflict
        return kind(code, reason, message)
    if code == 422 and any(sign in message for sign in _NOT_THE_SAME_OBJECT):
        return Conflict(code, "Conflict", message)
    if code in (401, 408, 410, 429) or code >= 500:
        # 401: a rotated service account token is re-read within a minute. 410: a list took longer
        # than the server keeps its snapshot.
        return Unavailable(code, reason, message, retry_after=_seconds(headers.get("Retry-After")))
    return Refused(code, reason, message)


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdigit() else 0.0
