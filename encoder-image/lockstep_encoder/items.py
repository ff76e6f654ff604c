"""From what a client sends to arrays: base64 images, plain numbers, or text."""

from __future__ import annotations

import base64
import binascii
import math
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lockstep_core.artifacts import InputKind, InputSpec
from lockstep_core.datasets.dataset import Texts
from lockstep_core.datasets.images import ImageError, opened
from lockstep_core.encoding.errors import EncodingError
from lockstep_core.encoding.preprocessing import Raw
from lockstep_core.encoding.texts import as_texts
from lockstep_core.protocol.http import ItemInput

PART_ITEMS = 256
"""Items that are decoded at once: as pixels they may take thousands of times their bytes."""

# Bytes of one encoded image. An uncompressed 1024 x 1024 RGB image fits.
MAX_IMAGE_BYTES = 4 * 1024 * 1024
# Characters of one text: far more than any encoder takes, and little enough to be read in passing.
MAX_TEXT_CHARACTERS = 32 * 1024

Item = str | list[float]


def as_items(value: ItemInput) -> list[Item]:
    """A string, or a list that begins with a number, is one item."""
    alone = isinstance(value, str) or (bool(value) and not isinstance(value[0], (str, list)))
    return cast(list[Item], [value] if alone else value)


def decode_items(value: ItemInput | list[Item], spec: InputSpec) -> Raw:
    """Items [N, *spec.shape] of `spec.dtype`, N at most `PART_ITEMS`.

    For an encoder of texts a string is itself, and for no other. Else it is a PNG or JPEG (data URI
    or bare base64) of exactly the encoder's size and mode: nothing is resized or converted here,
    since that would be preprocessing that the index was not built with. A list of numbers is a
    vector, or the flattened pixels (whole, 0 to 255).
    Raises EncodingError, naming the item.
    """
    items = as_items(cast(ItemInput, value))
    if not items:
        raise EncodingError("the input is empty: give at least one item")
    if len(items) > PART_ITEMS:
        raise EncodingError(f"{len(items)} items exceed the limit of {PART_ITEMS} at once")
    if spec.kind is InputKind.TEXT:
        return _texts(items)
    decoded = np.empty((len(items), *spec.shape), dtype=spec.dtype)
    for position, item in enumerate(items):
        decoded[position] = _decode(item, spec, position)
    return decoded


def _texts(items: list[Item]) -> Texts:
    for position, item in enumerate(items):
        if not isinstance(item, str):
            raise EncodingError(
                "is numbers, but this encoder takes text. Tokens of another model's tokenizer mean"
                " nothing to it: let the client send texts (OpenAIEmbeddings of LangChain:"
                " check_embedding_ctx_length=False)",
                item=position,
            )
        if len(item) > MAX_TEXT_CHARACTERS:
            raise EncodingError(
                f"has {len(item)} characters: at most {MAX_TEXT_CHARACTERS} are read",
                item=position,
            )
    return as_texts(cast(list[str], items))


def _decode(item: Item, spec: InputSpec, position: int) -> NDArray[np.uint8] | NDArray[np.float32]:
    if isinstance(item, str):
        if spec.kind is InputKind.VECTOR:
            raise EncodingError(
                f"is text, but this encoder takes vectors of {spec.shape[0]} numbers", item=position
            )
        return _image(item, spec, position)
    if len(item) != math.prod(spec.shape):
        raise EncodingError(
            f"has {len(item)} numbers, but this encoder takes {list(spec.shape)}", item=position
        )
    return _vector(item, position) if spec.kind is InputKind.VECTOR else _raw(item, spec, position)


def _image(text: str, spec: InputSpec, position: int) -> NDArray[np.uint8]:
    height, width, channels = spec.shape if len(spec.shape) == 3 else (*spec.shape, 1)
    wanted = (width, height, "L" if channels == 1 else "RGB")
    try:
        with opened(_bytes_of(text, position), spec.reading) as picture:
            mode, across, down = picture.layout
            # By its header: a few kilobytes may claim 50 MB of pixels, 256 times in one request.
            if (across, down, mode) == wanted:
                return picture.pixels().reshape(spec.shape)
            form = f"{across}x{down} image of mode {mode}"
    except ImageError as error:
        raise EncodingError(f"is not a usable image: {error}", item=position) from error
    raise EncodingError(
        f"is a {form}, but this encoder takes {wanted[0]}x{wanted[1]} {wanted[2]}: bring it to"
        " that form as the training set was",
        item=position,
    )


def _bytes_of(text: str, position: int) -> bytes:
    header, _, payload = text.partition(",") if text.startswith("data:") else ("", "", text)
    if header and not header.endswith(";base64"):
        raise EncodingError("is a data URI that is not base64-encoded", item=position)
    if len(payload) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise EncodingError(f"is larger than {MAX_IMAGE_BYTES} bytes", item=position)
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EncodingError(f"is not base64: {error}", item=position) from error


def _numbers(item: list[float], position: int) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(item, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise EncodingError(f"is not a list of numbers: {error}", item=position) from error
    if numbers.ndim != 1:
        raise EncodingError("is not a flat list of numbers", item=position)
    # float32, because that is what the encoder computes with: 1e39 is infinite there.
    if not (np.abs(numbers) <= np.finfo(np.float32).max).all():
        raise EncodingError("holds NaN, infinity or a number beyond float32", item=position)
    return numbers


def _vector(item: list[float], position: int) -> NDArray[np.float32]:
    return _numbers(item, position).astype(np.float32)


def _raw(item: list[float], spec: InputSpec, position: int) -> NDArray[np.uint8]:
    numbers = _numbers(item, position)
    if ((numbers < 0) | (numbers > 255) | (numbers != np.floor(numbers))).any():
        raise EncodingError("holds a pixel that is not a whole number from 0 to 255", item=position)
    return numbers.astype(np.uint8).reshape(spec.shape)
