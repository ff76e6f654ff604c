"""The API server, dict in and dict out, with the login of kubectl: the plugin's only I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes import client as official
from kubernetes import config as official_config
from urllib3 import HTTPHeaderDict

from lockstep_core.network.kubeconfig import FIX, KubeconfigError, Login, resolve
from lockstep_core.protocol.environment import MONITOR_PORT, PROGRESS_PORT, SERVING_PORT
from lockstep_core.protocol.recall import RECALL_PAGE

GROUP_PATH = "/apis/lockstep.dev/v1alpha1"
MERGE_PATCH = "application/merge-patch+json"
TIMEOUT_SECONDS = 10.0
PAGE = 500

Object = dict[str, Any]
"""A Kubernetes object, as JSON has it."""


class ApiError(Exception):
    """A call failed, in words for the person at the terminal. `code` is 0 when no answer came."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Api:
    """One API server. `login` says which one, as whom, and in which namespace."""

    client: official.ApiClient
    login: Login

    @property
    def namespace(self) -> str:
        """That of the kubeconfig's context, or of this pod."""
        return self.login.namespace

    @classmethod
    def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> Api:
        """Logs in as kubectl would. Raises ApiError when that leads to no cluster."""
        configuration = official.Configuration()
        # Not three times more for a pod that does not answer: a look is soon repeated.
        configuration.retries = urllib3.Retry(total=1, read=0)
        try:
            login = resolve(kubeconfig=kubeconfig, context=context)
            _load(login, configuration)
        except KubeconfigError as error:
            raise ApiError(0, str(error)) from error
        except official_config.ConfigException as error:
            raise ApiError(0, f"{login}: {error}. {FIX}") from error
        return cls(official.ApiClient(configuration), login)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Object:
        """The JSON at a path."""
        content: Object = json.loads(self._call("GET", path, query))
        return content

    def list(self, path: str, selector: str | None = None) -> list[Object]:
        """All objects of a collection, page by page."""
        query = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
        items: list[Object] = []
        while True:
            page = self.get(path, query)
            items += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return items
            query["continue"] = token

    def merge(self, path: str, body: Object) -> Object:
        """A merge patch."""
        query = {"fieldManager": "kubectl-lockstep"}
        content: Object = json.loads(self._call("PATCH", path, query, body, MERGE_PATCH))
        return content

    def progress(self, namespace: str, pod: str, timeout: float = 2.0) -> Object:
        """`GET /progress` of a Job's pod, through the API server's proxy."""
        path = f"{core_path('pods', namespace)}/{pod}:{PROGRESS_PORT}/proxy/progress"
        content: Object = json.loads(self._call("GET", path, timeout=timeout))
        return content

    def recall(self, namespace: str, pod: str, timeout: float = 5.0) -> Object:
        """`GET /v1/recall` of the monitor of an encoder pod, through the API server's proxy."""
        path = f"{core_path('pods', namespace)}/{pod}:{MONITOR_PORT}/proxy{RECALL_PAGE}"
        content: Object = json.loads(self._call("GET", path, {"after": "-1"}, timeout=timeout))
        return content

    def ask_entry(self, namespace: str, model: str, path: str, body: Object) -> Object:
        """A POST to the entry point of a model, through the API server's proxy."""
        service = f"{core_path('services', namespace)}/{model}:{SERVING_PORT}/proxy{path}"
        content: Object = json.loads(self._call("POST", service, body=body, timeout=30.0))
        return content

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        timeout: float = TIMEOUT_SECONDS,
    ) -> bytes:
        resource = f"{path}?{urlencode(query)}" if query else path
        headers = {"Accept": "application/json", "Content-Type": content_type}
        request = self.client.param_serialize(
            method, resource, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        acting_as = HTTPHeaderDict(request[2])
        acting_as.extend(self.login.impersonation())
        try:
            answer = self.client.call_api(
                request[0], request[1], acting_as, *request[3:], _request_timeout=timeout
            )
            content: bytes = answer.read()  # type: ignore[no-untyped-call]
        except (urllib3.exceptions.HTTPError, OSError, official.ApiException) as error:
            server = self.client.configuration.host
            why = getattr(error, "reason", None) or error
            raise ApiError(0, f"no answer from the API server {server}: {why}") from error
        if answer.status >= 400:
            raise ApiError(answer.status, _message_of(answer.status, content))
        return content


def _load(login: Login, configuration: official.Configuration) -> None:
    """Raises ConfigException when the credentials cannot be had."""
    if login.config is None:
        official_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return
    official_config.load_kube_config_from_dict(  # type: ignore[no-untyped-call]
        login.config, client_configuration=configuration
    )
    login.check_exec(got=bool(configuration.api_key or configuration.cert_file))


def own_path(plural: str, namespace: str | None, name: str = "") -> str:
    """The path of objects of our kinds; of all namespaces for None."""
    return _path(GROUP_PATH, plural, namespace, name)


def core_path(plural: str, namespace: str | None) -> str:
    """The path of a collection of the core group, of `apps` or of `batch`."""
    root = {"deployments": "/apis/apps/v1", "jobs": "/apis/batch/v1"}.get(plural, "/api/v1")
    return _path(root, plural, namespace, "")


def _path(root: str, plural: str, namespace: str | None, name: str) -> str:
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{scope}/{plural}" + (f"/{name}" if name else "")


def _message_of(code: int, content: bytes) -> str:
    """The API server's own sentence, or what a proxy said instead."""
    try:
        message = json.loads(content).get("message")
    except (ValueError, AttributeError):
        message = None
    return message or f"HTTP {code}: {content[:200].decode(errors='replace')}"
