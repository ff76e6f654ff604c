"""A photo and its turned twin are the same pixels, in training, indexing and serving alike."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from lockstep_core.artifacts import InputKind, InputSpec
from lockstep_core.datasets import DatasetError, load_dataset
from lockstep_core.datasets.images import ImageError, opened
from lockstep_core.protocol.artifacts import PixelReading
from lockstep_core.protocol.datasets import DatasetFormat, DatasetSpec
from lockstep_encoder.items import decode_items
from tests.unit.core.support import Sets

pytestmark = pytest.mark.unit

SHOWN, STORED = PixelReading.AS_SHOWN, PixelReading.AS_STORED
WIDE = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 50, np.ones((8, 8), np.uint8))
"""A picture [16, 24] of six even squares, which JPEG keeps."""

UNTURNED = {
    1: WIDE,
    2: WIDE[:, ::-1],
    3: WIDE[::-1, ::-1],
    4: WIDE[::-1],
    5: WIDE.T,
    6: np.rot90(WIDE),
    7: np.rot90(WIDE, 2).T,
    8: np.rot90(WIDE, -1),
}
"""What a camera stores of the picture when it says each orientation."""


def encoded(pixels: NDArray[np.uint8], kind: str, orientation: int | None = None) -> bytes:
    file, exif = io.BytesIO(), Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    options = {"quality": 100} if kind == "JPEG" else {}
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, kind, exif=exif, **options)
    return file.getvalue()


def read(data: bytes, reading: PixelReading = SHOWN) -> NDArray[np.uint8]:
    with opened(data, reading) as picture:
        mode, width, height = picture.layout
        found = picture.pixels()
    assert found.shape[:2] == (height, width) and found.dtype == np.uint8
    assert (found.ndim == 3) is (mode == "RGB")
    return found


@pytest.mark.parametrize("orientation", UNTURNED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_turned_twin_has_the_pixels_of_the_photo(orientation: int, kind: str) -> None:
    turned = encoded(UNTURNED[orientation], kind, orientation)
    np.testing.assert_allclose(read(turned), WIDE, atol=2)
    np.testing.assert_allclose(read(turned, STORED), UNTURNED[orientation], atol=2)
    colour = encoded(np.stack([UNTURNED[orientation]] * 3, axis=-1), kind, orientation)
    np.testing.assert_allclose(read(colour), np.stack([WIDE] * 3, axis=-1), atol=3)


@pytest.mark.parametrize("orientation", [None, 0, 9, 77])
def test_a_tag_that_says_nothing_turns_nothing(orientation: int | None) -> None:
    np.testing.assert_allclose(read(encoded(WIDE, "JPEG", orientation)), WIDE, atol=2)


@pytest.mark.parametrize("cut", [4, 9, 12, 20, 26])
def test_a_damaged_tag_turns_nothing_and_ends_nothing(cut: int) -> None:
    whole = encoded(WIDE, "JPEG", 6)
    at = whole.index(b"Exif\x00\x00") + cut
    for junk in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"II*\x00"):
        damaged = whole[:at] + junk + whole[at + 4 :]
        try:
            assert read(damaged).shape in ((16, 24), (24, 16))
        except ImageError:
            continue


def test_a_tag_behind_the_pixels_does_not_make_the_header_decode_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(WIDE, "PNG")
    decoded: list[str] = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: decoded.append(self.mode))
    with opened(data, SHOWN) as picture:
        assert picture.layout == ("L", 24, 16)
    assert not decoded


def clear_png(pixels: NDArray[np.uint8], *values: int, depth: int = 8) -> bytes:
    """A PNG whose colour `values` is clear, of `depth` bits a channel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    height, width = pixels.shape[:2]
    flat = pixels.reshape(height, -1)
    if depth < 8:
        bits = np.unpackbits(flat[..., None], axis=-1)[..., 8 - depth :].reshape(height, -1)
        flat = np.packbits(bits, axis=1)
    if depth == 16:
        flat = np.stack([flat, np.full_like(flat, 7)], axis=-1).reshape(height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in flat)
    kind = 2 if pixels.ndim == 3 else 0
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    found = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    found += chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))
    return found + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_a_clear_colour_is_white() -> None:
    grey = np.array([[5, 6], [7, 5]], np.uint8)
    assert read(clear_png(grey, 5)).tolist() == [[255, 6], [7, 255]]
    assert read(clear_png(grey, 5), STORED).tolist() == grey.tolist()
    assert read(clear_png(grey, 200)).tolist() == grey.tolist()
    colour = np.array([[[1, 2, 3], [1, 2, 4]]], np.uint8)
    assert read(clear_png(colour, 1, 2, 3)).tolist() == [[[255] * 3, [1, 2, 4]]]
    # All channels must be those of the colour.
    assert read(clear_png(colour, 1, 2, 9)).tolist() == colour.tolist()


def test_a_clear_value_is_of_the_bits_that_the_file_has() -> None:
    assert read(clear_png(np.array([[0, 1, 2, 3]], np.uint8), 2, depth=2)).tolist() == [
        [0, 85, 255, 255]
    ]
    assert read(clear_png(np.array([[0, 5, 15]], np.uint8), 5, depth=4)).tolist() == [[0, 255, 255]]
    colour = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    sixteen = clear_png(colour, *(256 * each + 7 for each in (1, 2, 3)), depth=16)
    assert read(sixteen).tolist() == [[[255] * 3, [4, 5, 6]]]


def test_training_indexing_and_serving_read_the_same_pixels(sets: Sets, volume: Path) -> None:
    turned = encoded(UNTURNED[6], "JPEG", 6)
    clear = clear_png(WIDE, int(WIDE[0, 8]))
    for name, data in (("a/1.jpg", turned), ("b/1.png", clear)):
        path = volume / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    folder = sets.load(volume / "photos").inputs
    table = arrow.table({"input": [turned, clear], "label": ["a", "b"]})
    parquet.write_table(table, volume / "photos.parquet")
    asked = DatasetSpec(uri=f"file://{volume}/photos.parquet", format=DatasetFormat.PARQUET)
    rows = load_dataset(asked, sets.store, volume / "work").inputs
    with pytest.raises(DatasetError, match="are not L 16x24 like most"):
        load_dataset(asked, sets.store, volume / "work", reading=STORED)
    spec = InputSpec(kind=InputKind.IMAGE, shape=(16, 24), dtype="uint8", pixels=SHOWN)
    sent = [base64.b64encode(each).decode() for each in (turned, clear)]
    served = decode_items(sent, spec)
    assert (folder == rows).all() and (folder == served).all()
    np.testing.assert_allclose(folder[0], WIDE, atol=2)
    assert (folder[1] == np.where(WIDE[0, 8] == WIDE, 255, WIDE)).all()


def test_an_encoder_that_was_trained_on_stored_pixels_goes_on_to_read_them() -> None:
    before = InputSpec(kind=InputKind.IMAGE, shape=(24, 16), dtype="uint8")
    assert before.reading is STORED and "pixels" not in before.to_wire()
    turned = base64.b64encode(encoded(UNTURNED[6], "JPEG", 6)).decode()
    np.testing.assert_allclose(decode_items(turned, before)[0], UNTURNED[6], atol=2)


def test_only_images_have_pixels() -> None:
    with pytest.raises(ValueError, match="`pixels` is for an Image"):
        InputSpec(kind=InputKind.VECTOR, shape=(3,), dtype="float32", pixels=SHOWN)
