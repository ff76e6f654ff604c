"""Times one release of the glyphs example, from `kubectl apply` to Healthy, on the dev cluster.

    python -m benchmarks.release [--json FILE]

Removes the example's namespace, runs the demo again with the images already loaded, and prints a
table: seconds of each stage, working-set memory of each pod (the kubelet's own figure), sizes of
the images, versions. Stage times are as the demo saw them, half a second apart.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from examples.glyphs.demo.cluster import NAMESPACE, Cluster, devcluster

PACKAGES = ("torch", "faiss-cpu", "onnxruntime", "kopf", "kubernetes")
VOLUME = "lockstep-artifacts"


def clear(cluster: Cluster) -> None:
    """No trace of an earlier run: neither objects nor artifacts."""
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")
    devcluster("volume", VOLUME, "--delete")
    devcluster("volume", VOLUME)


def run_demo() -> dict[str, float]:
    """Seconds of each stage."""
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder) / "times.json"
        command = [sys.executable, "-m", "examples.glyphs.demo", "--releases", "1"]
        command += ["--times", str(times)]
        subprocess.run(command, check=True)
        seconds: dict[str, float] = json.loads(times.read_text())["r1"]
        return seconds


def pod_memory(cluster: Cluster) -> dict[str, float]:
    """Working set of each pod in MiB, by the kubelet's summary."""
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    memory: dict[str, float] = {}
    for node in nodes:
        path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
        for pod in json.loads(cluster.kubectl("get", "--raw", path))["pods"]:
            if pod["podRef"]["namespace"] in (NAMESPACE, "lockstep-system"):
                bytes_ = (pod.get("memory") or {}).get("workingSetBytes", 0)
                memory[pod["podRef"]["name"]] = round(bytes_ / 2**20, 1)
    return memory


def image_sizes() -> dict[str, float]:
    """Uncompressed size of each of our images on the node."""
    images = json.loads(devcluster("images", "--json"))
    return {
        image["name"]: round(image["size"] / 2**20, 1)
        for image in images
        if "/lockstep/" in image["name"]
    }


def recall(cluster: Cluster) -> dict[str, str]:
    """The gates' lines and the index's own, as the status shows them."""
    model = json.loads(cluster.kubectl("get", "em", "-n", NAMESPACE, "glyphs", "-o", "json"))
    index = json.loads(cluster.kubectl("get", "vix", "-n", NAMESPACE, "glyphs", "-o", "json"))
    lines = {gate["name"]: gate["line"] for gate in model["status"]["gates"]}
    return {**lines, "index": index["status"]["serving"]["recall"]}


def measure(cluster: Cluster) -> dict[str, Any]:
    clear(cluster)
    stages = run_demo()
    time.sleep(15)  # The kubelet samples memory every ten seconds or so.
    return {
        "stagesSeconds": stages,
        "applyToHealthySeconds": round(sum(stages.values()), 1),
        "quality": recall(cluster),
        "podMemoryMiB": pod_memory(cluster),
        "imagesMiB": image_sizes(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }


def print_table(result: dict[str, Any]) -> None:
    for title, section in result.items():
        print(f"\n{title}")
        if isinstance(section, dict):
            for name, value in section.items():
                print(f"  {name:44} {value}")
        else:
            print(f"  {section}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    arguments = parser.parse_args()
    result = measure(Cluster.find())
    print_table(result)
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
