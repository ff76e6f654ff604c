"""A text as its bytes: no vocabulary, no unknown word, any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from lockstep_core.encoding.errors import EncodingError
from lockstep_core.encoding.ragged import Ragged
from lockstep_core.protocol.base import Contract
from lockstep_core.protocol.training.encoder import Overlong

PAD = 0
DEFAULT_MAX_LENGTH = 128


class BytesSpec(Contract):
    """UTF-8 of the text, uint8 [B, L] padded with 0. `unicode` NFC first makes one sequence of code
    points of the several that look alike (`é`, or `e` and an accent); `AsIs` does not."""

    kind: Literal["Bytes"] = "Bytes"
    unicode: Literal["NFC", "AsIs"] = "NFC"
    max_length: Annotated[int, Field(ge=1, le=65536)] = DEFAULT_MAX_LENGTH
    overlong: Overlong = Overlong.REFUSE


class BytesPreprocessor:
    """See `BytesSpec`. Raises EncodingError, naming the item."""

    pad = PAD
    unit = "bytes"

    def __init__(self, spec: BytesSpec) -> None:
        self.spec = spec

    def prepare(self, texts: Iterable[str]) -> Ragged:
        rows = (self._bytes(text, item) for item, text in enumerate(texts))
        return Ragged.of(rows, stored=np.uint8, pad=PAD, given=np.uint8)

    def _bytes(self, text: str, item: int) -> bytes:
        check_text(text, item)
        if self.spec.unicode == "NFC":
            text = unicodedata.normalize("NFC", text)
        data, limit = text.encode(), self.spec.max_length
        if len(data) <= limit:
            return data
        if self.spec.overlong is Overlong.REFUSE:
            raise overlong(len(data), limit, self.unit, item)
        # A character that the limit cuts through goes as a whole.
        return data[:limit].decode(errors="ignore").encode()


def check_text(text: str, item: int) -> None:
    """Raises EncodingError for what holds nothing to embed, or a character that means padding."""
    if not text.strip():
        raise EncodingError("is empty text", item=item)
    if "\0" in text:
        raise EncodingError("holds a NUL character: remove it", item=item)


def overlong(length: int, limit: int, unit: str, item: int) -> EncodingError:
    return EncodingError(
        f"has {length} {unit}, but this encoder takes at most {limit}: shorten it, or train with"
        " encoder.overlong: Truncate or a larger encoder.maxLength",
        item=item,
    )
