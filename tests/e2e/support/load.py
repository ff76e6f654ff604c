"""Load from inside the cluster: the client runs in a pod, so it meets the Service as users do."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.e2e.support.kube import Object, wait_until
from tests.e2e.support.world import CLAIM, CONTAINER, RESTRICTED, World

CLIENT = Path(__file__).parent / "load_client.py"
Part = tuple[int, int, float]
"""The first query, the one behind the last, and how often they are drawn beside other parts."""


def glyph_queries(world: World, release: int, count: int) -> list[str]:
    """Data URIs of `count` drawings of the data set, evenly spread."""
    deployment = f"deploy/{world.name}-r{release}-encoder"
    code = (
        "import base64,sys,numpy as np;"
        "x=np.load('/artifacts/datasets/glyphs.npz')['inputs'];"
        f"r=np.linspace(0,len(x)-1,{count}).astype(int);"
        "sys.stdout.write(base64.b64encode(x[r].tobytes()).decode())"
    )
    text = world.kube.run(
        "exec", "-n", world.namespace, deployment, "--", "/opt/venv/bin/python", "-c", code
    )
    pixels = np.frombuffer(base64.b64decode(text), np.uint8).reshape(count, 32, 32)
    return [_data_uri(drawing) for drawing in pixels]


def glyph_queries_from(data: bytes, count: int) -> list[str]:
    """Data URIs of `count` drawings of an .npz data set, evenly spread."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        inputs = arrays["inputs"]
    return [_data_uri(inputs[row]) for row in np.linspace(0, len(inputs) - 1, count).astype(int)]


def _data_uri(pixels: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode="L").save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@dataclass
class Load:
    """A running load; `stop()` ends it, `finish()` waits for its limit; both return the tally."""

    world: World
    pod: str

    def has_started(self) -> bool:
        pod = self.world.kube.get(self.world.namespace, "pod", self.pod) or {}
        return pod.get("status", {}).get("phase") in ("Running", "Succeeded", "Failed")

    def until_seen(self, release: str) -> None:
        """Waits until an answer named the release."""

        def seen() -> bool:
            arguments = ("exec", "-n", self.world.namespace, self.pod, "--", "ls", "/tmp/seen")
            return release in self.world.kube.run(*arguments).split()

        wait_until(seen, what=f"an answer of {release}", seconds=60)

    def draw_from(self, *parts: Part) -> None:
        """From now on queries are drawn from these."""
        script = "cat > /tmp/mix.part && mv /tmp/mix.part /tmp/mix"
        command = ("exec", "-i", "-n", self.world.namespace, self.pod, "--", "sh", "-c", script)
        self.world.kube.run(*command, stdin=json.dumps(parts))

    def stop(self) -> dict[str, Any]:
        namespace = self.world.namespace
        self.world.kube.run("exec", "-n", namespace, self.pod, "--", "touch", "/tmp/stop")
        return self.finish()

    def finish(self) -> dict[str, Any]:
        namespace = self.world.namespace

        def ended() -> bool:
            pod = self.world.kube.get(namespace, "pod", self.pod) or {}
            return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")

        wait_until(ended, what="the load to end", seconds=60)
        logs = self.world.kube.run("logs", "-n", namespace, self.pod)
        # Warnings stand there too, some of them behind it.
        told = [line for line in logs.splitlines() if line.startswith('{"requests"')]
        assert told, f"the load ended without a tally: {logs[-2000:]}"
        tally: dict[str, Any] = json.loads(told[-1])
        self.world.kube.run("delete", "pod", "-n", namespace, self.pod, "--now")
        return tally


def start_load(
    world: World,
    queries: list[str],
    *,
    url: str,
    name: str = "load",
    connections: int = 8,
    limit: int = 0,
    environment: Mapping[str, str] | None = None,
) -> Load:
    """Starts clients that search `url` without pause, each `limit` times (0: until stopped).

    `environment` is what `load_client.py` reads from its own.
    """
    script = {"client.py": CLIENT.read_text(), "queries.json": json.dumps(queries)}
    config = {"name": name, "namespace": world.namespace}
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": world.namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": RESTRICTED,
            "containers": [
                {
                    "name": "load",
                    "image": "lockstep.local/lockstep/encoder:dev",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/opt/venv/bin/python", "/load/client.py"],
                    "args": [url, str(connections), "10", str(limit)],
                    "env": [{"name": n, "value": v} for n, v in (environment or {}).items()],
                    "securityContext": CONTAINER,
                    # A client that is starved of CPU measures itself.
                    "resources": {"requests": {"cpu": "100m"}},
                    "volumeMounts": [
                        {"name": "load", "mountPath": "/load"},
                        {"name": "tmp", "mountPath": "/tmp"},
                        {"name": "artifacts", "mountPath": "/artifacts", "readOnly": True},
                    ],
                }
            ],
            "volumes": [
                {"name": "load", "configMap": {"name": name}},
                {"name": "tmp", "emptyDir": {}},
                {"name": "artifacts", "persistentVolumeClaim": {"claimName": CLAIM}},
            ],
        },
    }
    questions = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": config, "data": script}
    world.kube.apply(questions, server_side=True)
    world.kube.apply(pod)
    load = Load(world, name)
    wait_until(load.has_started, what=f"the load {name} to start", seconds=60)
    return load
