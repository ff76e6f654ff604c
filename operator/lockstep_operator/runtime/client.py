"""The API server, dict in and dict out, over the official client's connection and login.

Typed models would double the CPU of a call (they are built and thrown away), so requests name a
path. Every call has a timeout: the client's own default is five minutes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast
from urllib.parse import urlencode

import aiohttp
import orjson
from kubernetes.aio import client as official
from kubernetes.aio import config as official_config

from lockstep_core.network.kubeconfig import KubeconfigError, Login, resolve
from lockstep_operator.api.kinds import ResourceKind
from lockstep_operator.api.objects import Object
from lockstep_operator.runtime import metrics
from lockstep_operator.runtime.errors import ApiError, Unavailable, error_from

FIELD_MANAGER = "lockstep"
HAND_OVER_MANAGER = "lockstep-hand-over"
APPLY = "application/apply-patch+yaml"
JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
PAGE = 500


async def configuration_of(login: Login) -> official.Configuration:
    """The official client's configuration for a login.

    Raises `kubernetes.aio.config.ConfigException` or `KubeconfigError` when its credentials cannot
    be had, or are of a kind that the operator does not know.
    """
    configuration = official.Configuration()
    if login.config is None:
        official_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return configuration
    if login.impersonation():
        # kopf watches with a connection of its own, which cannot act as another.
        raise KubeconfigError(f"{login}: its user has `as`, give the operator one of its own")
    await official_config.load_kube_config_from_dict(  # type: ignore[no-untyped-call]
        login.config, client_configuration=configuration
    )
    login.check_exec(got=bool(configuration.api_key or configuration.cert_file))
    return configuration


async def connect(*, connections: int = 32) -> official.ApiClient:
    """Logs in as kubectl would: with the kubeconfig, else as the pod's service account.

    Raises what `configuration_of` does.
    """
    configuration = await configuration_of(resolve())
    configuration.connection_pool_maxsize = connections
    return official.ApiClient(configuration)


def no_guard() -> None:
    """Lets every write through: for the leader's own Lease calls and for tests."""


class Api:
    """Calls to one API server.

    `guard` runs before each write and raises when this process must not write any more.
    """

    def __init__(
        self,
        client: official.ApiClient,
        *,
        timeout: float = 10.0,
        guard: Callable[[], None] = no_guard,
    ) -> None:
        self._client = client
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(5.0, timeout))
        self._guard = guard

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: ResourceKind, namespace: str | None, name: str) -> Object:
        return await self._call("get", "GET", kind, kind.path(namespace, name))

    async def pages(self, kind: ResourceKind, namespace: str | None) -> AsyncIterator[Object]:
        """The kind's List objects, `PAGE` items each, from one consistent snapshot."""
        query: dict[str, str] = {"limit": str(PAGE)}
        if kind.selector is not None:
            query["labelSelector"] = kind.selector
        while True:
            page = await self._call("list", "GET", kind, kind.path(namespace), query=query)
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def some(
        self, kind: ResourceKind, namespace: str, *, fields: Mapping[str, str], limit: int
    ) -> list[Object]:
        """Up to `limit` objects whose fields have these values."""
        selector = ",".join(f"{field}={value}" for field, value in sorted(fields.items()))
        query = {"limit": str(limit), "fieldSelector": selector}
        page = await self._call("list", "GET", kind, kind.path(namespace), query=query)
        found: list[Object] = page.get("items") or []
        return found

    async def watch(
        self, kind: ResourceKind, namespace: str | None, version: int, *, seconds: int
    ) -> AsyncIterator[Object]:
        """What changed after `version`, until the server ends the stream after `seconds`.

        Events are `{"type": …, "object": …}`. Raises `ApiError`, also for an event that is an error
        (410: what was listed is too old).
        """
        query = {"watch": "1", "resourceVersion": str(version), "timeoutSeconds": str(seconds)}
        if kind.selector is not None:
            query["labelSelector"] = kind.selector
        path = kind.path(namespace)
        timeout = aiohttp.ClientTimeout(total=seconds + 10.0, sock_connect=5.0)
        try:
            request = await self._client.param_serialize(
                "GET", f"{path}?{urlencode(query)}", auth_settings=["BearerToken"]
            )
            answer = await self._client.call_api(
                request[0], request[1], request[2], _request_timeout=timeout
            )
            stream: aiohttp.ClientResponse = answer.response
            try:
                metrics.API_CALLS.labels(
                    verb="watch", resource=kind.plural, code=str(stream.status)
                ).inc()
                if stream.status >= 400:
                    raise error_from(stream.status, await stream.read(), stream.headers)
                while line := await stream.content.readline():
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise _error_of(event["object"])
                    yield event
            finally:
                stream.close()
        except (TimeoutError, aiohttp.ClientError, OSError, orjson.JSONDecodeError) as error:
            raise Unavailable(0, type(error).__name__, f"watch of {path}: {error}") from error

    async def create(self, kind: ResourceKind, namespace: str, body: Object) -> Object:
        query = {"fieldManager": FIELD_MANAGER}
        path = kind.path(namespace)
        return await self._write("create", "POST", kind, path, body, JSON, query)

    async def apply(self, kind: ResourceKind, namespace: str, body: Object) -> Object:
        """Server-side apply: our fields become ours, fields that we no longer send go away."""
        path = kind.path(namespace, body["metadata"]["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._write("apply", "PATCH", kind, path, body, APPLY, query)

    async def hand_over(self, kind: ResourceKind, namespace: str, body: Object) -> Object:
        """Applies fields for `HAND_OVER_MANAGER`; raises `Conflict` where they changed meanwhile.

        A field that a manager no longer sends goes away unless another one holds it. So before we
        leave a field to a controller, this second manager holds it, at the value that is there:
        https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
        """
        path = kind.path(namespace, body["metadata"]["name"])
        query = {"fieldManager": HAND_OVER_MANAGER}
        return await self._write("apply", "PATCH", kind, path, body, APPLY, query)

    async def replace(self, kind: ResourceKind, namespace: str, body: Object) -> Object:
        path = kind.path(namespace, body["metadata"]["name"])
        return await self._write("update", "PUT", kind, path, body, JSON)

    async def patch_status(
        self, kind: ResourceKind, namespace: str, name: str, operations: list[Object]
    ) -> Object:
        path = kind.path(namespace, name, "status")
        query = {"fieldManager": FIELD_MANAGER}
        return await self._write("patch_status", "PATCH", kind, path, operations, JSON_PATCH, query)

    async def delete(
        self, kind: ResourceKind, namespace: str, name: str, *, uid: str | None
    ) -> Object:
        """Deletes in the background. A uid guards against a newer object of the same name."""
        options: Object = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        path = kind.path(namespace, name)
        return await self._write("delete", "DELETE", kind, path, options, JSON)

    async def _write(
        self,
        verb: str,
        method: str,
        kind: ResourceKind,
        path: str,
        body: Object | list[Object],
        content_type: str,
        query: Mapping[str, str] | None = None,
    ) -> Object:
        self._guard()
        return await self._call(
            verb, method, kind, path, body=body, content_type=content_type, query=query
        )

    async def _call(
        self,
        verb: str,
        method: str,
        kind: ResourceKind,
        path: str,
        *,
        body: Object | list[Object] | None = None,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
    ) -> Object:
        headers = {"Accept": JSON, "Content-Type": content_type}
        resource = f"{path}?{urlencode(query)}" if query else path
        code = 0
        try:
            code, answer, answered = await self._send(method, resource, headers, body)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable(0, type(error).__name__, f"{method} {path}: {error}") from error
        finally:
            metrics.API_CALLS.labels(verb=verb, resource=kind.plural, code=str(code)).inc()
        if code >= 400:
            raise error_from(code, answer, answered)
        return cast(Object, orjson.loads(answer))

    async def _send(
        self, method: str, resource: str, headers: dict[str, str], body: Any
    ) -> tuple[int, bytes, Mapping[str, str]]:
        # The body is handed over after serialisation: the official walk over it, meant for typed
        # models, is the most expensive part of a call that carries a dict.
        request = await self._client.param_serialize(
            method, resource, header_params=headers, auth_settings=["BearerToken"]
        )
        response = await self._client.call_api(
            request[0], request[1], request[2], body, _request_timeout=self._timeout
        )
        content: bytes = await response.read()  # type: ignore[no-untyped-call]
        return response.status, content, response.headers


def _error_of(status: Object) -> ApiError:
    """The error that a watch reported."""
    return error_from(int(status.get("code") or 500), orjson.dumps(status), {})
