"""Prometheus as a process of the host: it scrapes Lockstep's pods and answers queries."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from devcluster.host import packages, targets
from devcluster.host.host_process import HostProcess, answers
from devcluster.host.state import Cluster, free_port, write_json

NAME = "prometheus"
DEFAULT_PORT = 9890
INTERVAL = "2s"
_REPOSITORY = Path(__file__).resolve().parents[2]


def configuration(targets_url: str) -> dict[str, Any]:
    """Scrapes the pods that `targets_url` lists, as often as a test can wait."""
    discovery = {"url": targets_url, "refresh_interval": INTERVAL}
    job = {"job_name": "pods", "http_sd_configs": [discovery]}
    timing = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL}
    return {"global": {**timing, "evaluation_interval": INTERVAL}, "scrape_configs": [job]}


class Prometheus:
    """The Prometheus of one cluster, and the small server that tells it of pods."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._server = HostProcess(cluster.layout, NAME)
        self._targets = HostProcess(cluster.layout, "targets", folder=NAME)

    def endpoint(self) -> str | None:
        """URL of the server, None when it does not run."""
        address = self._server.address()
        return address and f"http://{address}"

    def up(self, *, port: int) -> str:
        """Start it unless it runs, and wait until it answers queries; its URL."""
        self._cluster.check_runs()
        self._server.make()
        if self._targets.address() is None:
            # Its port is in Prometheus' configuration.
            self._server.stop()
            self._list_targets()
        address = self._server.runs_already() or self._start(port)
        return f"http://{address}"

    def down(self) -> None:
        """Stop it; what it recorded stays."""
        self.stop()

    def stop(self) -> None:
        self._server.stop()
        self._targets.stop()

    def _list_targets(self) -> None:
        port = free_port(set())
        address = f"{targets.HOST}:{port}"
        self._targets.start(
            address,
            (sys.executable, "-m", targets.__name__, f"{self._cluster.layout.root}/", str(port)),
            env={"PYTHONPATH": str(_REPOSITORY)},
            ready=lambda: answers(address),
        )

    def _start(self, port: int) -> str:
        program = packages.unpack(NAME)
        address = self._server.place(port)
        wanted = configuration(f"http://{self._targets.address()}/")
        config = write_json(self._server.folder / "prometheus.yml", wanted)
        self._server.start(
            address,
            (
                str(program),
                f"--config.file={config}",
                f"--storage.tsdb.path={self._server.folder / 'data'}",
                "--storage.tsdb.retention.time=1d",
                f"--web.listen-address={address}",
            ),
            env={},
            ready=lambda: answers(address, "/-/ready"),
        )
        return address
