"""From strings to texts in memory: numpy's own variable-width strings, without padding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np

from lockstep_core.datasets.dataset import Texts
from lockstep_core.encoding.errors import EncodingError


def as_texts(values: Iterable[str]) -> Texts:
    """Raises EncodingError, naming the item, for text that is no Unicode (a lone surrogate)."""
    items = list(values)
    try:
        return cast(Texts, np.array(items, dtype=np.dtypes.StringDType()))
    except UnicodeEncodeError:
        bad = next(at for at, text in enumerate(items) if not _encodable(text))
        raise EncodingError("is not valid Unicode: it holds half a character", item=bad) from None


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
