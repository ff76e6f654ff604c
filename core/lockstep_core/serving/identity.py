"""Identity on every response, and the refusal of a request that expects another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lockstep_core.protocol import headers
from lockstep_core.serving.errors import RequestError, error_response

_TWO_SPACES = "vectors of two spaces cannot be compared"
_TWO_BUILDS = "another build of an index may hold other rows"


@dataclass(frozen=True)
class Identity:
    """Who answers. `space`, `index_space` and `build` come from verified manifests only.

    `space` is None until the artifact is verified. An encoder has no `build` of its own: it may
    serve several indexes, and the search endpoint copies what the index server answered.
    """

    release: str
    space: str | None = None
    index_space: str | None = None
    build: str | None = None

    def headers(self) -> list[tuple[str, str]]:
        """The identity as headers; what is unknown is left out."""
        pairs = (
            (headers.RELEASE, self.release),
            (headers.SPACE, self.space),
            (headers.INDEX_SPACE, self.index_space),
            (headers.BUILD, self.build),
        )
        return [(name, value) for name, value in pairs if value is not None]

    def refusal(self, expected_space: str | None, expected_build: str | None) -> str | None:
        """Why a request that expects these must be refused; None when it may be answered."""
        for what, header, expected, ours, why in (
            ("space", headers.EXPECTED_SPACE, expected_space, self.space, _TWO_SPACES),
            ("space", headers.EXPECTED_SPACE, expected_space, self.index_space, _TWO_SPACES),
            ("build", headers.EXPECTED_BUILD, expected_build, self.build, _TWO_BUILDS),
        ):
            if expected is not None and ours is not None and expected != ours:
                return (
                    f"`{header}` asks for {what} {expected}, but release {self.release} serves"
                    f" {what} {ours}: {why}, so nothing was answered. Ask the release that owns"
                    " the expected one."
                )
        return None


_ANSWERED_IN = "lockstep.space"


class IdentityHolder:
    """The identity of this process; set once, when the manifest is verified."""

    def __init__(self, identity: Identity) -> None:
        self.current = identity


def _last(raw: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    last = None
    for key, value in raw:
        if key == name:
            last = value.decode("latin-1").strip()
    return last


def answer_in_space(scope: Scope, space: str) -> None:
    """The response to this request is of another space than the server's: of a prefix of its
    embeddings. A header that an application sets claims nothing."""
    scope.setdefault("state", {})[_ANSWERED_IN] = space


class IdentityMiddleware:
    """Outermost ASGI layer: adds the identity to every response and answers 409 to a mismatch."""

    def __init__(self, app: ASGIApp, *, holder: IdentityHolder) -> None:
        self.app = app
        self.holder = holder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        identity = self.holder.current

        async def send_identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in identity.headers():
                    answered[name] = value
                own = (scope.get("state") or {}).get(_ANSWERED_IN)
                if own is not None:
                    answered[headers.SPACE] = own
            await send(message)

        refusal = identity.refusal(
            _last(scope["headers"], headers.EXPECTED_SPACE.encode()),
            _last(scope["headers"], headers.EXPECTED_BUILD.encode()),
        )
        if refusal is None:
            await self.app(scope, receive, send_identified)
            return
        response = error_response(RequestError(409, refusal, code="identity_mismatch"))
        await response(scope, receive, send_identified)
