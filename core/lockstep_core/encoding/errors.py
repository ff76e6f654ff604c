"""Why an item or an encoder is refused."""

from __future__ import annotations


class EncodingError(Exception):
    """The input is not what the encoder takes, or its output is not an embedding.

    `item` is the position of the offending item, where one item is to blame; `reason` is the
    message without it.
    """

    def __init__(self, message: str, *, item: int | None = None) -> None:
        super().__init__(message if item is None else f"item {item}: {message}")
        self.item, self.reason = item, message


class SelfCheckError(Exception):
    """The encoder cannot be loaded as its manifest describes it, or fails its golden vectors."""
