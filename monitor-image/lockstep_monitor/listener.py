"""The socket that the encoder of the pod sends to."""

from __future__ import annotations

import socket
from pathlib import Path

from lockstep_core.protocol.monitoring import MAX_DATAGRAM_BYTES

# One byte more than is taken: what is longer is cut here, and refused for its length.
_ROOM = MAX_DATAGRAM_BYTES + 1


class Listener:
    """Unix datagrams at `path`; what lies there is replaced. Raises OSError where it cannot be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._buffer = memoryview(bytearray(_ROOM))
        self._socket = self._bound()

    def _bound(self) -> socket.socket:
        self._path.unlink(missing_ok=True)
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        opened.bind(str(self._path))
        self._inode = self._path.stat().st_ino
        return opened

    def receive(self, seconds: float) -> memoryview | None:
        """The next datagram, which is valid until the next call; None when none came in time."""
        self._socket.settimeout(seconds)
        try:
            return self._buffer[: self._socket.recv_into(self._buffer)]
        except TimeoutError:
            return None

    def keep(self) -> None:
        """Binds again where the socket was taken away from its folder. Raises OSError."""
        try:
            if self._path.stat().st_ino == self._inode:
                return
        except FileNotFoundError:
            pass
        self._socket.close()
        self._socket = self._bound()

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)
