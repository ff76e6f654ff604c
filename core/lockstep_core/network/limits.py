"""What every server of ours takes from a client that it does not know: how much, and how long.

A head has no size in HTTP. Without bounds one client that sends one for ever keeps an event loop or
a thread from everybody else, the kubelet's probes among them.
"""

from __future__ import annotations

MAX_HEAD_BYTES = 64 * 1024
"""Of the request line and all fields; more is answered with 431. Proxies stop at 8 to 64 KiB."""

MAX_FIELDS = 100
"""Fields of a head; more are answered with 431."""

HEAD_SECONDS = 10.0
"""From the first byte of a head to its last one; later is answered with 408."""

BODY_SECONDS = 60.0
"""From the head to the last byte of the body (8 MiB at 1.1 Mbit/s); later is answered with 408."""

LINGER_SECONDS = 2.0
LINGER_BYTES = 1024 * 1024
"""What is read and dropped after a refusal: closing on unread bytes resets the connection, and the
client never sees why."""

TOO_LARGE = (
    f"the head of the request is larger than {MAX_HEAD_BYTES} bytes: send a shorter path or smaller"
    " header fields"
)
TOO_MANY = f"the request has more than {MAX_FIELDS} header fields: send fewer of them"


def head_is_late(seconds: float) -> str:
    """What a client is told whose head takes longer than `seconds`."""
    return f"the head of the request did not come within {seconds:g} s"


def body_is_late(seconds: float) -> str:
    """What a client is told whose body takes longer than `seconds`."""
    return f"the body of the request did not come within {seconds:g} s: send fewer items at once"
