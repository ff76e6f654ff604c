"""A program that serves the cluster from outside: a process of the host with a folder of its own in
the cluster's, that pods reach at the node's address. It outlives a restart of the cluster."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from devcluster.host.processes import Processes, Spec
from devcluster.host.state import own_address, port_is_free
from devcluster.layout import Layout
from devcluster.report import DevclusterError, step


class HostProcess:
    """One such program: its process, its folder, its address."""

    def __init__(self, layout: Layout, name: str, *, folder: str = "") -> None:
        self.name = name
        self.folder = layout.root / (folder or name)
        self.processes = Processes(self.folder / "run", self.folder)

    @property
    def _address_file(self) -> Path:
        return self.folder / "run" / "address"

    def address(self) -> str | None:
        """`IP:PORT` that it listens on, None when it does not run."""
        if self.processes.alive(self.name) is None:
            return None
        return self._address_file.read_text()

    def make(self) -> None:
        (self.folder / "run").mkdir(parents=True, exist_ok=True)

    def place(self, port: int) -> str:
        """The `IP:PORT` to start it on; refused when another program holds the port."""
        if not port_is_free(port):
            raise DevclusterError(f"port {port} is in use: choose another with --port")
        return f"{own_address()}:{port}"

    def start(
        self,
        address: str,
        argv: tuple[str, ...],
        *,
        env: Mapping[str, str],
        ready: Callable[[], bool],
        patience: float = 30,
    ) -> None:
        """Start it and wait until `ready`; the log's end is in the error when it is not."""
        self._address_file.write_text(address)
        self.processes.ensure(Spec(self.name, argv, env))
        self.processes.wait(
            f"{self.name} does not answer", ready, needs=[self.name], timeout=patience
        )

    def runs_already(self) -> str | None:
        """Its address, with a line for the person who asked for another port."""
        if address := self.address():
            step(f"{self.name} runs already, with the settings that it was started with")
            return address
        return None

    def stop(self) -> None:
        """Stop it; its data stays."""
        self.processes.stop([self.name])


def answers(address: str, path: str = "/", *, tls: bool = False) -> bool:
    """Whether a server at `IP:PORT` gives any answer but a failure of its own."""
    connection: http.client.HTTPConnection
    if tls:
        # Whether it is up is the question, not who it is.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(address, timeout=2, context=context)
    else:
        connection = http.client.HTTPConnection(address, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()
