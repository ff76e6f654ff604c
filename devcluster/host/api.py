"""The few reads of the API server that bringing a cluster up needs."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.request
from typing import Any

from devcluster.host.state import Cluster


class Api:
    """Reads as the administrator; every failure to answer is `None`."""

    def __init__(self, cluster: Cluster) -> None:
        pki = cluster.layout.pki
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        # A proxy in the environment is for the outside, never for this server.
        self._open = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        ).open
        self._server = cluster.server

    def text(self, path: str) -> str | None:
        try:
            with self._open(self._server + path, timeout=5) as answer:
                return str(answer.read().decode())
        except (OSError, http.client.HTTPException):
            return None

    def get(self, path: str) -> Any:
        """The decoded object at a path, None when it is not there or nobody answers."""
        text = self.text(path)
        return None if text is None else json.loads(text)

    def ready(self) -> bool:
        return self.text("/readyz") == "ok"

    def controllers_work(self) -> bool:
        """Whether the controller-manager does its work: it makes this account."""
        return self.get("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def node_ready(self, node: str, *, since: str = "") -> bool:
        """Whether the kubelet says Ready, and said so after `since` (UTC, RFC 3339)."""
        raw = self.get(f"/api/v1/nodes/{node}")
        conditions = raw["status"].get("conditions", []) if raw else []
        return any(
            condition["type"] == "Ready"
            and condition["status"] == "True"
            and condition["lastHeartbeatTime"] >= since
            for condition in conditions
        )

    def volume_usable(self, name: str) -> bool:
        """Whether a volume is there and not held by a claim that is gone."""
        volume = self.get(f"/api/v1/persistentvolumes/{name}")
        return bool(volume) and volume["status"].get("phase") in ("Available", "Bound")
