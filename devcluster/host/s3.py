"""An S3 server over a folder, for stores by `s3://`: versitygw, as a host process."""

from __future__ import annotations

import http.client
from pathlib import Path

from devcluster.host import binaries
from devcluster.host.processes import Processes, Spec
from devcluster.host.state import own_address, port_is_free
from devcluster.layout import Layout
from devcluster.report import DevclusterError, step

NAME = "versitygw"
DEFAULT_PORT = 9870


class S3:
    """The S3 server that belongs to a cluster's folder; pods reach it at the node's IP."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._folder = layout.root / "s3"
        # Not the cluster's own: the server outlives a restart of the cluster.
        self._processes = Processes(self._folder / "run", self._folder)

    @property
    def data(self) -> Path:
        return self._folder / "data"

    def endpoint(self) -> str | None:
        """URL of the server, None when it does not run."""
        if self._processes.alive(NAME) is None:
            return None
        argv = self._processes.argv(NAME)
        return f"http://{argv[argv.index('--port') + 1]}"

    def up(self, *, port: int, access_key: str, secret_key: str, buckets: list[str]) -> str:
        """Start it unless it runs, with these root keys; make buckets; its URL."""
        (self._folder / "run").mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)
        for bucket in buckets:
            (self.data / bucket).mkdir(exist_ok=True)
        if running := self.endpoint():
            step("the S3 server runs already; its keys and its port stay as they are")
            return running
        address = own_address()
        if not port_is_free(port):
            raise DevclusterError(f"port {port} is in use: choose another with --port")
        program = str(binaries.binary(NAME))
        argv = (program, "--port", f"{address}:{port}", "posix", str(self.data))
        # In the environment: a command line is readable by every user of the machine.
        keys = {"ROOT_ACCESS_KEY": access_key, "ROOT_SECRET_KEY": secret_key}
        self._processes.ensure(Spec(NAME, argv, keys))
        self._processes.wait(
            "the S3 server does not answer",
            lambda: _answers(address, port),
            needs=[NAME],
            timeout=30,
        )
        return f"http://{address}:{port}"

    def down(self) -> None:
        """Stop it; the objects stay."""
        self._processes.stop([NAME])


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()
