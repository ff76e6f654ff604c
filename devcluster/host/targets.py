"""Which pods Prometheus scrapes, for its `http_sd`: Debian builds it without the discovery
of Kubernetes. Run as `python3 -m devcluster.host.targets FOLDER PORT`, with
the folder of a cluster."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from devcluster.host import state
from devcluster.host.api import Api
from devcluster.layout import Layout

# Names of the ports that have /metrics: the servers', the Jobs' and the operator's.
PORTS = ("http", "progress", "health")
LABELS = ("model", "release", "index", "component")
HOST = "127.0.0.1"


def _is_wanted(pod: dict[str, Any]) -> bool:
    metadata = pod["metadata"]
    ours = metadata.get("labels", {}).get("app.kubernetes.io/part-of") == "lockstep"
    asks = metadata.get("annotations", {}).get("prometheus.io/scrape") == "true"
    # A pod that ended keeps its address for a while, and nobody answers there.
    ended = pod["status"].get("phase") in ("Succeeded", "Failed")
    return (ours or asks) and not ended and "podIP" in pod["status"]


def _of_pod(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    metadata, spec = pod["metadata"], pod["spec"]
    labels = {"namespace": metadata["namespace"], "pod": metadata["name"]}
    for name in LABELS:
        if value := metadata.get("labels", {}).get(f"lockstep.dev/{name}"):
            labels[f"lockstep_dev_{name}"] = value
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        for port in container.get("ports", ()):
            if port.get("name") in PORTS:
                yield {
                    "targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
                    "labels": {**labels, "container": container["name"]},
                }


def groups(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Target groups of `http_sd` for a list of pods.

    They are those that the chart's PodMonitors choose, under the same target labels, and any
    pod that asks for it by the annotation `prometheus.io/scrape: "true"`.
    """
    return [group for pod in pods if _is_wanted(pod) for group in _of_pod(pod)]


def _serve(cluster: state.Cluster, port: int) -> None:
    api = Api(cluster)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listed = api.get("/api/v1/pods")
            # Any answer but 200 leaves Prometheus with the targets that it knows.
            body = json.dumps(groups(listed["items"]) if listed else []).encode()
            self.send_response(200 if listed else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Every two seconds the same line tells nobody anything."""

    ThreadingHTTPServer((HOST, port), Handler).serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    _serve(state.existing(Layout(arguments.folder.name)), arguments.port)


if __name__ == "__main__":
    main()
