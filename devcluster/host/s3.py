"""An S3 server over a folder, for stores by `s3://`: versitygw."""

from __future__ import annotations

from pathlib import Path

from devcluster.host import binaries
from devcluster.host.host_process import HostProcess, answers
from devcluster.layout import Layout

NAME = "versitygw"
DEFAULT_PORT = 9870


class S3:
    """The S3 server that belongs to a cluster's folder."""

    def __init__(self, layout: Layout) -> None:
        self._server = HostProcess(layout, NAME, folder="s3")

    @property
    def data(self) -> Path:
        return self._server.folder / "data"

    def endpoint(self) -> str | None:
        """URL of the server, None when it does not run."""
        address = self._server.address()
        return address and f"http://{address}"

    def up(self, *, port: int, access_key: str, secret_key: str, buckets: list[str]) -> str:
        """Start it unless it runs, with these root keys; make buckets; its URL."""
        self._server.make()
        self.data.mkdir(exist_ok=True)
        for bucket in buckets:
            (self.data / bucket).mkdir(exist_ok=True)
        address = self._server.runs_already()
        if address is None:
            program = str(binaries.binary(NAME))
            address = self._server.place(port)
            self._server.start(
                address,
                (program, "--port", address, "posix", str(self.data)),
                # In the environment: a command line is readable by every user of the machine.
                env={"ROOT_ACCESS_KEY": access_key, "ROOT_SECRET_KEY": secret_key},
                ready=lambda: answers(address),
            )
        return f"http://{address}"

    def down(self) -> None:
        """Stop it; the objects stay."""
        self._server.stop()
