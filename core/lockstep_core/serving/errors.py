"""Every failure becomes JSON in OpenAI's error shape; a client never sees a traceback."""

from __future__ import annotations

import logging
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
"""Largest request body: 256 images as base64 of about 24 KiB each."""

DISCARDED_BYTES = 16 * MAX_BODY_BYTES

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
    """Body of the request as `model`; see `read_body` and `parse` for what is refused."""
    return parse(await read_body(request, limit), model)
