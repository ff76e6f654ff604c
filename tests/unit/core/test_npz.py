"""Archives of numpy that are damaged, or claim too much."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

import lockstep_core.datasets.npz as npz_module
from lockstep_core.datasets import DatasetError
from lockstep_core.datasets.npz import read_npz
from tests.unit.core.support import GOOD, IMAGES, LABELS, Sets

pytestmark = pytest.mark.unit


def member(data: bytes, name: str = "inputs.npy", *, method: int = zipfile.ZIP_STORED) -> bytes:
    """A good set, but for one member."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for other, array in GOOD.items():
            if f"{other}.npy" != name:
                archive.writestr(f"{other}.npy", array_bytes(array))
        archive.writestr(name, data)
    return file.getvalue()


def array_bytes(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version)
    return file.getvalue()


def huge_claim() -> bytes:
    """A header of 2^40 images, and the data of six."""
    good = array_bytes(IMAGES)
    claimed = good.replace(b"(6, 4, 4), ", b"(1099511627776, 4, 4), ")
    excess = len(claimed) - len(good)
    return claimed.replace(b" " * excess + b"\n", b"\n", 1)


def corrupt_crc() -> bytes:
    data = bytearray(member(array_bytes(IMAGES)))
    at = data.rindex(bytes(range(80, 96)))
    data[at] ^= 1
    return bytes(data)


def encrypted() -> bytes:
    """The flag of encryption in the central directory and in the local header of `inputs`."""
    data = bytearray(member(array_bytes(IMAGES)))
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data[data.rindex(signature) + offset] |= 1
    return bytes(data)


def two_of_a_name() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in GOOD.items():
            archive.writestr(f"{name}.npy", array_bytes(array))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("labels.npy", array_bytes(LABELS[::-1]))
    return file.getvalue()


BAD_FILES: list[tuple[str, Callable[[], bytes], str]] = [
    ("no bytes", lambda: b"", "is no NPZ archive"),
    ("no archive", lambda: b"inputs,labels\n1,a\n", "is no NPZ archive"),
    ("a pickle", lambda: pickle.dumps({"inputs": [1]}), "is no NPZ archive"),
    ("a bare npy", lambda: array_bytes(IMAGES), "is no NPZ archive"),
    ("a torn archive", lambda: member(array_bytes(IMAGES))[:-30], "is no NPZ archive"),
    ("a member that is no array", lambda: member(b"hello"), "`inputs` cannot be read"),
    ("an empty member", lambda: member(b""), "`inputs` cannot be read"),
    ("a truncated array", lambda: member(array_bytes(IMAGES)[:-1]), "but has 95 bytes"),
    ("bytes after the array", lambda: member(array_bytes(IMAGES) + b"x"), "but has 97 bytes"),
    ("a header that claims terabytes", lambda: member(huge_claim()), "[1099511627776, 4, 4]"),
    ("a member that fails its checksum", corrupt_crc, "`inputs` cannot be read: 1 (e.g. Bad CRC"),
    ("an encrypted member", encrypted, "`inputs` cannot be read"),
    ("an unknown version", lambda: member(array_bytes(IMAGES, (3, 0))), "(3, 0) is not supported"),
    (
        "a header that is code",
        lambda: member(array_bytes(IMAGES).replace(b"{'descr'", b"{f(0)  :")),
        "cannot be read",
    ),
    ("two members of one name", two_of_a_name, "members share a name"),
]


@pytest.mark.parametrize(
    ("make", "said"), [row[1:] for row in BAD_FILES], ids=[row[0] for row in BAD_FILES]
)
def test_bad_archives_are_refused(sets: Sets, make: Callable[[], bytes], said: str) -> None:
    path = sets.volume / "set.npz"
    path.write_bytes(make())
    assert said in "; ".join(map(str, sets.problems(path)))


def test_a_zip_bomb_is_refused_by_what_it_declares(sets: Sets) -> None:
    path = sets.volume / "set.npz"
    bomb = array_bytes(np.zeros((64, 512, 512), np.uint8))
    path.write_bytes(member(bomb, method=zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < len(bomb) // 100
    with (
        path.open("rb") as file,
        pytest.raises(DatasetError, match=r"declare .* bytes once unpacked"),
    ):
        read_npz(file, path.name, required=["inputs"], max_bytes=1024 * 1024)
    with path.open("rb") as file:
        arrays, problems = read_npz(file, path.name, required=["inputs"])
    assert arrays["inputs"].shape == (64, 512, 512)
    assert not problems
    assert npz_module.MAX_BYTES == 16 * 1024**3


def test_the_longer_header_of_numpy_is_read(sets: Sets) -> None:
    path = sets.volume / "set.npz"
    path.write_bytes(member(array_bytes(IMAGES, (2, 0))))
    assert (sets.load(path).inputs == IMAGES).all()


def test_text_of_no_width_is_empty_text(sets: Sets) -> None:
    header = io.BytesIO()
    described = {"descr": "<U0", "fortran_order": False, "shape": (6,)}
    np.lib.format.write_array_header_1_0(header, described)
    path = sets.volume / "set.npz"
    path.write_bytes(member(header.getvalue(), "labels.npy"))
    (wrong,) = sets.problems(path)
    assert wrong.what == "rows with empty `labels`"
    assert wrong.count == 6
