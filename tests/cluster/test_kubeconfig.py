"""The cluster, the context, the namespace and the credentials are those that kubectl takes.

kubectl itself says what is right, without a cluster: `config view --minify` for files, and its own
requests, which a server here writes down, for what is sent.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lockstep_core.network.kubeconfig import KubeconfigError, Login, resolve
from tests.unit.core.kubeconfigs import CASES, Case, entry

ROOT = Path(__file__).parents[2]
FILE_FIELDS = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {
                "name": "pods",
                "singularName": "pod",
                "namespaced": True,
                "kind": "Pod",
                "verbs": ["list"],
            }
        ],
    },
}


@pytest.fixture(scope="module")
def kubectl() -> str:
    command = [sys.executable, "-m", "devcluster", "kubectl-path"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def view(
    kubectl: str, case: Case, folder: Path, environment: dict[str, str]
) -> dict[str, Any] | None:
    """What kubectl takes; None when it refuses."""
    options = [f"--context={case.context}"] if case.context else []
    options += [f"--kubeconfig={case.file(folder)}"] if case.kubeconfig else []
    command = [kubectl, *options, "config", "view", "--minify", "--flatten", "--raw", "-o", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seen: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return seen


def flat(fields: dict[str, Any]) -> dict[str, Any]:
    """With the contents of files, as `--flatten` shows them."""
    shown = dict(fields)
    for path, data in FILE_FIELDS.items():
        if path in shown:
            shown[data] = base64.b64encode(Path(shown.pop(path)).read_bytes()).decode()
    return shown


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_files_lead_where_they_lead_kubectl(kubectl: str, case: Case, tmp_path: Path) -> None:
    folder, none = tmp_path / "files", tmp_path / "none"
    folder.mkdir()
    environment = case.environment(folder)
    seen = view(kubectl, case, folder, environment)
    ours: Login | None
    try:
        ours = resolve(
            kubeconfig=case.file(folder),
            context=case.context,
            environment=environment,
            service_account=none,
        )
    except KubeconfigError:
        ours = None
    assert (ours is None) == (seen is None), (ours, seen)
    if seen is None or ours is None:
        return
    context = entry(seen, "contexts")
    assert ours.context == seen["current-context"]
    assert ours.cluster == context["cluster"]
    assert ours.namespace == context.get("namespace", "default")
    assert ours.server == entry(seen, "clusters")["server"]
    assert ours.config is not None
    assert flat(entry(ours.config, "clusters")) == entry(seen, "clusters")
    assert flat(ours.user) == (entry(seen, "users") if seen["users"] else {})


Identity = list[tuple[str, str]]
Pod = tuple["Recorder", dict[str, str], list[str]]


@dataclass
class Recorder:
    """A server that answers nothing but kubectl's discovery, and writes down who asked for what."""

    url: str = ""
    asked: list[tuple[str, Identity]] = field(default_factory=list)

    def namespace_and_identity(self) -> tuple[str, Identity]:
        """Of the last request for objects."""
        path, headers = self.asked[-1]
        return path.split("/namespaces/")[1].split("/")[0], headers


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, signed by itself; its key lies beside it."""
    path = tmp_path / "server.crt"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    name = ["-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    command = ["openssl", "req", "-x509", "-nodes", *curve, *name, *files]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture
def serve(certificate: Path) -> Iterator[Callable[[], Recorder]]:
    """Starts recorders."""
    running: list[ThreadingHTTPServer] = []

    def start() -> Recorder:
        recorder = Recorder()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                if path not in DISCOVERY:
                    sent = sorted((n.lower(), v) for n, v in self.headers.items())
                    told = [(n, v) for n, v in sent if n.startswith(("authorization", "imperson"))]
                    recorder.asked.append((path, told))
                body = json.dumps(
                    DISCOVERY.get(
                        path, {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}
                    )
                )
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, certificate.with_suffix(".key"))
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        recorder.url = f"https://127.0.0.1:{server.server_port}"
        return recorder

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def ask(command: list[str], environment: dict[str, str]) -> None:
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]} | environment
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def both_ask_alike(
    kubectl: str, recorder: Recorder, given: dict[str, str], *before: str
) -> tuple[str, Identity]:
    """Who kubectl says it is and where, after the plugin said the same."""
    ask([*before, sys.executable, "-m", "lockstep_kubectl", "status"], given)
    ours = recorder.namespace_and_identity()
    asked = len(recorder.asked)
    ask([*before, kubectl, "get", "pods"], given)
    assert len(recorder.asked) > asked
    theirs = recorder.namespace_and_identity()
    assert ours[0] == theirs[0]
    assert [(name, value.lower()) for name, value in ours[1]] == [
        (name, value.lower()) for name, value in theirs[1]
    ]
    return theirs


def kubeconfig(path: Path, url: str, user: str, namespace: str = "") -> Path:
    cluster = {"server": url, "certificate-authority": "server.crt"}
    context = {"cluster": f"c-{path.name}", "user": f"u-{path.name}", "namespace": namespace}
    content = {
        "current-context": path.name,
        "clusters": [{"name": f"c-{path.name}", "cluster": cluster}],
        "contexts": [{"name": path.name, "context": context}],
        "users": [{"name": f"u-{path.name}", "user": json.loads(user)}],
    }
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "user",
    [
        '{"token": "abc"}',
        '{"username": "ann", "password": "secret"}',
        '{"tokenFile": "token", "token": "old"}',
        '{"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",'
        ' "command": "./login"}}',
        '{"token": "abc", "as": "ann", "as-uid": "7", "as-groups": ["a", "b"],'
        ' "as-user-extra": {"scopes": ["x"]}}',
    ],
)
def test_of_two_files_the_plugin_asks_the_server_that_kubectl_asks_as_the_same_user(
    kubectl: str, serve: Callable[[], Recorder], user: str, tmp_path: Path
) -> None:
    staging, prod = serve(), serve()
    (tmp_path / "token").write_text("of-the-file\n")
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "of-exec"},
    }
    (tmp_path / "login").write_text(f"#!/bin/sh\necho '{json.dumps(credential)}'\n")
    (tmp_path / "login").chmod(0o755)
    files = [
        kubeconfig(tmp_path / "staging", staging.url, user, "shop"),
        kubeconfig(tmp_path / "prod", prod.url, '{"token": "of-prod"}'),
    ]
    given = {"KUBECONFIG": ":".join(map(str, files)), "HOME": str(tmp_path)}
    namespace, identity = both_ask_alike(kubectl, staging, given)
    assert namespace == "shop" and identity and not prod.asked


@pytest.fixture
def pod(tmp_path: Path, certificate: Path, serve: Callable[[], Recorder]) -> Pod:
    """The API server of a pod, the pod's environment, and what runs a command in that pod."""
    recorder = serve()
    account = "/run/secrets/kubernetes.io/serviceaccount"
    script = (
        f"mount -t tmpfs tmpfs /run && mkdir -p {account} && printf of-the-pod > {account}/token"
        f" && printf pods-own > {account}/namespace && cat {certificate} > {account}/ca.crt"
        ' && exec "$@"'
    )
    environment = {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": recorder.url.rpartition(":")[2],
        "HOME": str(tmp_path / "home"),
    }
    return (
        recorder,
        environment,
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"],
    )


def test_in_a_pod_without_a_kubeconfig_it_is_the_service_account(
    kubectl: str, pod: Pod, tmp_path: Path
) -> None:
    server, environment, inside = pod
    as_the_pod = ("pods-own", [("authorization", "Bearer of-the-pod")])
    assert both_ask_alike(kubectl, server, environment, *inside) == as_the_pod
    missing = environment | {"KUBECONFIG": str(tmp_path / "none")}
    assert both_ask_alike(kubectl, server, missing, *inside) == as_the_pod
    (tmp_path / "no-current").write_text("clusters: [{name: c, cluster: {server: 'http://c'}}]")
    undecided = environment | {"KUBECONFIG": str(tmp_path / "no-current")}
    assert both_ask_alike(kubectl, server, undecided, *inside) == as_the_pod
    named = environment | {"POD_NAMESPACE": "named"}
    assert both_ask_alike(kubectl, server, named, *inside)[0] == "named"


def test_in_a_pod_with_a_kubeconfig_it_is_the_kubeconfig(
    kubectl: str,
    pod: Pod,
    serve: Callable[[], Recorder],
    tmp_path: Path,
) -> None:
    _, environment, inside = pod
    other = serve()
    for namespace, expected in (("shop", "shop"), ("", "pods-own")):
        file = kubeconfig(tmp_path / "other", other.url, '{"token": "abc"}', namespace)
        given = environment | {"KUBECONFIG": str(file)}
        found = both_ask_alike(kubectl, other, given, *inside)
        assert found == (expected, [("authorization", "Bearer abc")])
