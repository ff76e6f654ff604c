"""Where servers listen: one way for all of them."""

from __future__ import annotations

import errno
import socket

BACKLOG = 2048
_NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def listen(port: int, host: str | None = None) -> socket.socket:
    """A listening socket on `host`, or on all addresses of both families, where there are two.

    A pod of an IPv6-only cluster has no IPv4 address that a probe could reach, and a kernel without
    IPv6 has no `::`. Port 0 takes any free one. Raises OSError when it cannot listen.
    """
    if host is not None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
        except OSError as error:
            if error.errno not in _NO_SUCH_FAMILY:
                raise
    return socket.create_server(("0.0.0.0", port), backlog=BACKLOG)
