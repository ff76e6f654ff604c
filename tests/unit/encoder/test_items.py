"""What a client sends is decoded as it is, or refused by the item's number."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from lockstep_core.artifacts import InputKind, InputSpec
from lockstep_core.encoding import EncodingError
from lockstep_core.encoding.preprocessing import TEXT
from lockstep_encoder.items import MAX_IMAGE_BYTES, MAX_TEXT_CHARACTERS, decode_items

pytestmark = pytest.mark.unit

IMAGE = InputSpec(kind=InputKind.IMAGE, shape=(4, 6), dtype="uint8")
COLOUR = InputSpec(kind=InputKind.IMAGE, shape=(4, 6, 3), dtype="uint8")
VECTOR = InputSpec(kind=InputKind.VECTOR, shape=(3,), dtype="float32")


def encoded(array: np.ndarray, kind: str = "PNG", prefix: str = "") -> str:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind)
    return prefix + base64.b64encode(file.getvalue()).decode()


GREY = np.arange(24, dtype=np.uint8).reshape(4, 6)
RGB = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)


def test_images_are_decoded_as_they_are() -> None:
    bare, uri = encoded(GREY), encoded(GREY, prefix="data:image/png;base64,")
    assert (decode_items(bare, IMAGE) == GREY[None]).all()
    found = decode_items([bare, uri], IMAGE)
    assert found.dtype == np.uint8
    assert (found == np.stack([GREY, GREY])).all()
    assert (decode_items(encoded(RGB), COLOUR) == RGB[None]).all()
    one_channel = InputSpec(kind=InputKind.IMAGE, shape=(4, 6, 1), dtype="uint8")
    assert (decode_items(bare, one_channel) == GREY[None, :, :, None]).all()
    assert decode_items(encoded(GREY, "JPEG"), IMAGE).shape == (1, 4, 6)


def test_numbers_are_vectors_or_pixels() -> None:
    assert decode_items([1, 2.5, -3], VECTOR).tolist() == [[1, 2.5, -3]]
    assert decode_items([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], VECTOR).shape == (2, 3)
    assert decode_items([1, 2, 3], VECTOR).dtype == np.float32
    assert (decode_items(GREY.ravel().tolist(), IMAGE) == GREY[None]).all()
    assert (decode_items([RGB.ravel().tolist()], COLOUR) == RGB[None]).all()


def pixels(*first: float) -> list[float]:
    return [*first, *[0.0] * (24 - len(first))]


GOOD = encoded(GREY)
BAD_ITEMS: list[tuple[Any, InputSpec, int | None, str]] = [
    ([], IMAGE, None, "the input is empty"),
    ([GOOD] * 257, IMAGE, None, "257 items exceed the limit of 256"),
    ([GOOD, "%%%"], IMAGE, 1, "is not base64"),
    ([GOOD, ""], IMAGE, 1, "neither PNG nor JPEG"),
    (["aGVsbG8="], IMAGE, 0, "neither PNG nor JPEG"),
    (["data:image/png,abc"], IMAGE, 0, "not base64-encoded"),
    (["data:image/png;base64"], IMAGE, 0, "neither PNG nor JPEG"),
    (["data:image/png;base64,"], IMAGE, 0, "neither PNG nor JPEG"),
    (["é"], IMAGE, 0, "is not base64"),
    ([GOOD[:60]], IMAGE, 0, "not a usable image"),
    ([encoded(GREY.T.copy())], IMAGE, 0, "is a 4x6 image of mode L, but this encoder takes 6x4 L"),
    ([encoded(RGB)], IMAGE, 0, "of mode RGB, but this encoder takes 6x4 L"),
    ([encoded(GREY)], COLOUR, 0, "of mode L, but this encoder takes 6x4 RGB"),
    ([encoded(np.zeros((4, 6, 4), np.uint8))], COLOUR, 0, "of mode RGBA"),
    ([encoded(np.zeros((4, 6), bool))], IMAGE, 0, "of mode 1, but"),
    ([encoded(GREY, "GIF")], IMAGE, 0, "neither PNG nor JPEG"),
    (["A" * (MAX_IMAGE_BYTES * 2)], IMAGE, 0, "larger than"),
    (["hello"], VECTOR, 0, "is text, but this encoder takes vectors of 3"),
    ([1.0, 2.0], VECTOR, 0, r"has 2 numbers, but this encoder takes \[3\]"),
    ([[1.0, 2.0, 3.0], [1.0]], VECTOR, 1, "has 1 numbers"),
    ([[1.0, 2.0, 3.0], []], VECTOR, 1, "has 0 numbers"),
    ([float("nan"), 0, 0], VECTOR, 0, "NaN, infinity or a number beyond float32"),
    ([float("inf"), 0, 0], VECTOR, 0, "NaN, infinity or a number beyond float32"),
    ([1e39, 0, 0], VECTOR, 0, "beyond float32"),
    ([10**400, 0, 0], VECTOR, 0, "is not a list of numbers"),
    ([[[1], [2], [3]]], VECTOR, 0, "is not a flat list"),
    ([["a", "b", "c"]], VECTOR, 0, "is not a list of numbers"),
    (pixels(0.5), IMAGE, 0, "not a whole number from 0 to 255"),
    (pixels(256), IMAGE, 0, "not a whole number from 0 to 255"),
    (pixels(-1), IMAGE, 0, "not a whole number from 0 to 255"),
    ([pixels(), pixels(float("nan"))], IMAGE, 1, "NaN"),
    ([1.0] * 23, IMAGE, 0, r"has 23 numbers, but this encoder takes \[4, 6\]"),
]


@pytest.mark.parametrize(("value", "spec", "item", "said"), BAD_ITEMS)
def test_bad_items_are_named(value: Any, spec: InputSpec, item: int | None, said: str) -> None:
    with pytest.raises(EncodingError, match=said) as caught:
        decode_items(value, spec)
    assert caught.value.item == item
    if item is not None:
        assert str(caught.value).startswith(f"item {item}: ")


def test_a_picture_that_claims_too_much_is_not_decoded() -> None:
    file = io.BytesIO()
    Image.new("1", (5000, 5000)).save(file, "PNG")
    with pytest.raises(EncodingError, match="5000x5000 pixels exceed"):
        decode_items(base64.b64encode(file.getvalue()).decode(), IMAGE)


def test_pictures_of_another_size_are_refused_by_their_header(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """4,000 x 4,000 pixels are 15 KiB as PNG and 16 MB decoded; a request may hold 256 of them."""
    file = io.BytesIO()
    Image.new("L", (4000, 4000)).save(file, "PNG")
    decoded: list[str] = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: decoded.append(self.mode))
    with pytest.raises(EncodingError, match="is a 4000x4000 image of mode L"):
        decode_items(base64.b64encode(file.getvalue()).decode(), IMAGE)
    assert not decoded


@pytest.mark.parametrize(
    ("value", "item", "said"),
    [
        (["cat", [1.0]], 1, "is numbers, but this encoder takes text"),
        ([[9906, 1917], [3923]], 0, "Tokens.*check_embedding_ctx_length=False"),
        ([9906, 1917], 0, "Tokens.*check_embedding_ctx_length=False"),
        ("x" * (MAX_TEXT_CHARACTERS + 1), 0, "characters: at most"),
        (["cat", "\ud800"], 1, "half a character"),
    ],
)
def test_what_clients_send_is_text_or_named(value: Any, item: int, said: str) -> None:
    assert decode_items("cat", TEXT).tolist() == ["cat"]
    assert decode_items(["cat", "data:image/png;base64,AA"], TEXT).tolist()[1].startswith("data:")
    with pytest.raises(EncodingError, match=said) as caught:
        decode_items(value, TEXT)
    assert caught.value.item == item
