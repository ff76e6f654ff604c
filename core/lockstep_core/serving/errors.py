"""Every failure becomes JSON in OpenAI's error shape; a client never sees a traceback."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from lockstep_core.protocol.http import ErrorBody, ErrorDetail

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Largest request body: 2,048 texts of 4 KiB each, or 256 images as base64 of 24 KiB."""

DISCARDED_BYTES = 16 * MAX_BODY_BYTES

_GZIP = b"\x1f\x8b"

CLIENT_CLOSED = 499
"""The client went away before the answer (nginx's code); seen in metrics only."""

logger = logging.getLogger(__name__)
M = TypeVar("M", bound=BaseModel)


class RequestError(Exception):
    """A request that is answered with an error. `param` names the field that is at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})


def _type_of(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"


def error_response(error: RequestError) -> Response:
    """The response of an error, in OpenAI's shape."""
    detail = ErrorDetail(
        message=error.message, type=_type_of(error.status), param=error.param, code=error.code
    )
    body = orjson.dumps(ErrorBody(error=detail).model_dump())
    return Response(body, error.status, error.headers, "application/json")


async def _on_request_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error_response(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {
        404: f"there is no {request.url.path} here",
        405: f"{request.method} is not allowed on {request.url.path}",
    }.get(error.status_code, error.detail)
    return error_response(
        RequestError(error.status_code, message, headers=dict(error.headers or {}))
    )


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return error_response(RequestError(CLIENT_CLOSED, "the client closed the connection"))


async def _on_exception(request: Request, error: Exception) -> Response:
    logger.exception("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(
        RequestError(500, "the server failed to answer; its log has the cause", code="internal")
    )


EXCEPTION_HANDLERS: Mapping[Any, Any] = {
    RequestError: _on_request_error,
    HTTPException: _on_http_exception,
    ClientDisconnect: _on_disconnect,
    Exception: _on_exception,
}
"""For `Starlette(exception_handlers=...)`."""


async def read_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The whole body; raises `RequestError` (413) when it exceeds `limit` bytes.

    The rest of a body that is too large is read and dropped, up to `DISCARDED_BYTES`: a server
    that closes on unread bytes resets the connection, and the client never sees the answer.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > DISCARDED_BYTES:
            break
        else:
            chunks.clear()
    if size > limit:
        raise RequestError(
            413,
            f"the body is larger than {limit} bytes: send fewer items in one request",
            code="body_too_large",
            headers={"connection": "close"},
        )
    return b"".join(chunks)


def parse(body: bytes, model: type[M]) -> M:
    """`body` as `model`: 400 when it is no JSON object, 422 with the field that is wrong.

    orjson refuses NaN, infinities and more than 1,024 levels of nesting.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(
            400, f"the body is no valid JSON: {error}", code="malformed_json"
        ) from error
    if not isinstance(value, dict):
        raise RequestError(
            400,
            f"the body must be a JSON object, not {type(value).__name__}",
            code="malformed_json",
        )
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _field_error(error, value) from error


def _field_error(error: ValidationError, value: Mapping[str, Any]) -> RequestError:
    """422 about the first field that is wrong. A union lists each form that it would take."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    name = _field(faults[0])
    if name not in value:
        message = f"`{name}` is missing"
    else:
        # A wrong list has one error for each item: say each complaint once, and only some.
        causes = list(dict.fromkeys(each["msg"] for each in faults if _field(each) == name))[:4]
        message = f"`{name}` is wrong: " + "; or ".join(causes)
    return RequestError(422, message, code="invalid_field", param=name)


def _field(error: ErrorDetails) -> str:
    return str(error["loc"][0]) if error["loc"] else "body"


async def read(request: Request, model: type[M], limit: int = MAX_BODY_BYTES) -> M:
    """Body of the request as `model`; see `read_body`, `decoded` and `parse` for what is refused.

    `limit` is that of the body as it was sent, and of what it unpacks to.
    """
    body = await read_body(request, limit)
    return parse(decoded(body, request.headers.get("content-encoding"), limit), model)


def decoded(body: bytes, encoding: str | None, limit: int) -> bytes:
    """`body` without its `content-encoding`, which may be gzip.

    Raises `RequestError`: 415 for another encoding, 413 when it unpacks to more than `limit` bytes,
    400 for what is not gzip, or is and does not say so.
    """
    name = (encoding or "identity").strip().lower()
    if name in ("gzip", "x-gzip"):
        return _unzipped(body, limit)
    if name != "identity":
        raise RequestError(
            415,
            f"`content-encoding` is {name[:40]!r}: send the body as gzip, or as it is",
            code="unsupported_encoding",
            param="content-encoding",
            headers={"accept-encoding": "gzip, identity"},
        )
    if body.startswith(_GZIP):
        raise RequestError(
            400,
            "the body is gzip, but no header says so: send `content-encoding: gzip`",
            code="invalid_header",
            param="content-encoding",
        )
    return body


def _unzipped(body: bytes, limit: int) -> bytes:
    """Never unpacks more than `limit` bytes: a few kilobytes may claim gigabytes."""
    unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        data = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise _broken_gzip(str(error)) from error
    if len(data) > limit:
        raise RequestError(
            413,
            f"the body unpacks to more than {limit} bytes: send fewer items in one request",
            code="body_too_large",
        )
    if not unpacking.eof:
        raise _broken_gzip("it is cut off")
    if unpacking.unused_data:
        raise _broken_gzip("more follows its end")
    return data


def _broken_gzip(cause: str) -> RequestError:
    return RequestError(
        400,
        f"`content-encoding` is gzip, but the body is no whole gzip: {cause}",
        code="malformed_encoding",
        param="content-encoding",
    )
