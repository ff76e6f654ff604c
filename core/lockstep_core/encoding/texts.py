"""Texts in memory: numpy's own variable-width strings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias, TypeGuard, cast

import numpy as np

from lockstep_core.encoding.errors import EncodingError

Texts: TypeAlias = np.ndarray[tuple[Any, ...], np.dtypes.StringDType]
"""[N] of `numpy.dtypes.StringDType()`: UTF-8 of any length, without padding to the longest."""


def as_texts(values: Iterable[str]) -> Texts:
    """Raises EncodingError, naming the item, for text that is no Unicode (a lone surrogate)."""
    items = list(values)
    try:
        return cast(Texts, np.array(items, dtype=np.dtypes.StringDType()))
    except UnicodeEncodeError:
        bad = next(at for at, text in enumerate(items) if not _encodable(text))
        raise EncodingError("is not valid Unicode: it holds half a character", item=bad) from None


def is_texts(array: np.ndarray[Any, Any]) -> TypeGuard[Texts]:
    return array.dtype == np.dtypes.StringDType() and array.ndim == 1


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
