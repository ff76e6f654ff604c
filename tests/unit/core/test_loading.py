"""A table of bad sets, each with what is said about it; and the good ones beside them."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lockstep_core.datasets.images as images_module
import lockstep_core.datasets.loading as loading_module
import lockstep_core.datasets.npz as npz_module
from lockstep_core.artifacts import (
    ArtifactError,
    ArtifactStore,
    InputKind,
    StoreError,
    sha256_file,
)
from lockstep_core.datasets import Dataset, DatasetError, Problem, load_dataset
from lockstep_core.datasets.images import read_images, scan
from lockstep_core.datasets.npz import read_npz
from lockstep_core.protocol.datasets import DatasetFormat, DatasetSpec

pytestmark = pytest.mark.unit

IMAGES = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)
VECTORS = np.arange(18, dtype=np.float32).reshape(6, 3)
LABELS = np.array(list("aabbcc"))
IDS = np.array([f"id-{number}" for number in range(6)])
Arrays = dict[str, Any]


class Sets:
    """Writes sets onto the volume and loads them."""

    def __init__(self, volume: Path, store: ArtifactStore) -> None:
        self.volume = volume
        self.store = store

    def npz(self, **arrays: Any) -> Path:
        path = self.volume / "set.npz"
        np.savez(path, **arrays)
        return path

    def load(self, path: Path, digest: str | None = None, *, need_labels: bool = True) -> Dataset:
        kind = DatasetFormat.NPZ if path.suffix == ".npz" else DatasetFormat.IMAGE_FOLDER
        spec = DatasetSpec(uri=f"file://{path}", format=kind, digest=digest)
        return load_dataset(spec, self.store, self.volume / "work", need_labels=need_labels)

    def problems(self, path: Path, *, need_labels: bool = True) -> tuple[Problem, ...]:
        with pytest.raises(DatasetError) as caught:
            self.load(path, need_labels=need_labels)
        for item in caught.value.problems:
            assert item.fix
            assert item.count >= 1
            assert len(item.examples) <= 5
            assert str(item) in str(caught.value)
        return caught.value.problems


@pytest.fixture
def sets(volume: Path, store: ArtifactStore) -> Sets:
    return Sets(volume, store)


def with_surrogate(values: np.ndarray) -> np.ndarray:
    found = values.copy()
    found.view(np.uint32)[0] = 0xD800
    return found


def with_nan(row: int, value: float = float("nan")) -> np.ndarray:
    found = VECTORS.copy()
    found[row, 1] = value
    return found


GOOD: Arrays = {"inputs": IMAGES, "labels": LABELS, "ids": IDS}
BAD_ARRAYS: list[tuple[str, Arrays, tuple[str, ...]]] = [
    ("no inputs", {"labels": LABELS}, ("array `inputs` is missing", "holds: labels")),
    ("no labels", {"inputs": IMAGES}, ("array `labels` is missing",)),
    ("nothing", {}, ("array `inputs` is missing", "array `labels` is missing", "nothing")),
    ("misspelt", {"inputs": IMAGES, "label": LABELS}, ("`labels` is missing", "inputs, label")),
    ("no items", {**GOOD, "inputs": IMAGES[:0]}, ("`inputs` is empty",)),
    ("a number", {**GOOD, "inputs": np.float32(1)}, ("`inputs` is empty",)),
    ("no pixels", {**GOOD, "inputs": IMAGES[:, :0]}, ("|u1 [6, 0, 4]", "axis of length 0")),
    ("float64", {**GOOD, "inputs": VECTORS.astype("f8")}, ("<f8 [6, 3]", ".astype('<f4')")),
    ("float16", {**GOOD, "inputs": VECTORS.astype("f2")}, ("<f2 [6, 3]",)),
    ("big-endian", {**GOOD, "inputs": VECTORS.astype(">f4")}, (">f4 [6, 3]", "little-endian")),
    ("int64", {**GOOD, "inputs": IMAGES.astype("i8")}, ("<i8 [6, 4, 4]", "uint8")),
    ("bool", {**GOOD, "inputs": IMAGES > 3}, ("|b1 [6, 4, 4]",)),
    ("rows of text", {**GOOD, "inputs": LABELS.reshape(6, 1)}, ("<U1 [6, 1]", "text [N]")),
    ("dates", {**GOOD, "inputs": np.arange(6).astype("M8[D]")}, ("<M8[D] [6]", "numpy text")),
    (
        "no text",
        {**GOOD, "inputs": np.array(["a", "", " ", *"bcd"])},
        ("empty text in `inputs`: 2",),
    ),
    (
        "a long text",
        {**GOOD, "inputs": np.array(["x" * 65_537, *"abcde"])},
        ("than 65536 characters",),
    ),
    ("NUL", {**GOOD, "inputs": np.array(["a\0b", *"abcde"])}, ("NUL character: 1 (e.g. row 0)",)),
    (
        "half a character",
        {**GOOD, "inputs": with_surrogate(LABELS)},
        ("invalid text in `inputs`: 1",),
    ),
    ("long vectors", {**GOOD, "inputs": np.zeros((6, 65_537), "f4")}, ("at most 65536 long",)),
    ("flat bytes", {**GOOD, "inputs": IMAGES.reshape(6, 16)}, ("[6, 16]", "[N,H,W]")),
    ("5 axes", {**GOOD, "inputs": IMAGES.reshape(6, 4, 4, 1, 1)}, ("[6, 4, 4, 1, 1]",)),
    ("2 channels", {**GOOD, "inputs": IMAGES.reshape(6, 4, 2, 2)}, ("1 or 3 channels",)),
    ("channels first", {**GOOD, "inputs": np.zeros((6, 3, 8, 8), "u1")}, ("as the last axis",)),
    ("float images", {**GOOD, "inputs": IMAGES.astype("f4")}, ("float32 [N,D], images as uint8",)),
    ("NaN", {**GOOD, "inputs": with_nan(4)}, ("NaN or infinity: 1 (e.g. row 4)",)),
    ("infinity", {**GOOD, "inputs": with_nan(2, np.inf)}, ("NaN or infinity: 1 (e.g. row 2)",)),
    (
        "all NaN",
        {**GOOD, "inputs": VECTORS * np.nan},
        ("6 (e.g. row 0, row 1, row 2, row 3, row 4)",),
    ),
    (
        "objects",
        {**GOOD, "labels": LABELS.astype(object)},
        ("`labels` is an object array", "pickle"),
    ),
    ("object inputs", {**GOOD, "inputs": IMAGES.astype(object)}, ("`inputs` is an object array",)),
    ("float labels", {**GOOD, "labels": np.arange(6.0)}, ("`labels` is <f8 [6]", ".astype(str)")),
    ("byte labels", {**GOOD, "labels": LABELS.astype("S")}, ("`labels` is |S1 [6]",)),
    ("one-hot labels", {**GOOD, "labels": np.eye(6, dtype=int)}, ("`labels` is <i8 [6, 6]",)),
    ("few labels", {**GOOD, "labels": LABELS[:4]}, ("`labels` has 4 rows, `inputs` 6",)),
    ("few ids", {**GOOD, "ids": IDS[:4]}, ("`ids` has 4 rows, `inputs` 6",)),
    (
        "line breaks",
        {**GOOD, "ids": np.array(["a\nb", "b", "c\x7f", "d", "e\0f", "é\u200d"])},
        ("control characters in `ids`: 3 (e.g. row 0, row 2, row 4)",),
    ),
    (
        "empty label",
        {**GOOD, "labels": np.array(["a", "", " ", "b", "c", "d"])},
        ("rows with empty `labels`: 2 (e.g. row 1, row 2)",),
    ),
    ("empty id", {**GOOD, "ids": np.array(["", *IDS[1:]])}, ("rows with empty `ids`: 1",)),
    ("long label", {**GOOD, "labels": np.array(["x" * 513, *LABELS[1:]])}, ("at most 512",)),
    (
        "equal ids",
        {**GOOD, "ids": np.array(["x", "x", "y", "y", "z", "w"])},
        ("`ids` that occur more than once: 2 (e.g. x, y)",),
    ),
    ("equal numbers", {**GOOD, "ids": np.zeros(6, int)}, ("`ids` that occur more than once",)),
    ("surrogate label", {**GOOD, "labels": with_surrogate(LABELS)}, ("invalid `labels`: 1",)),
    ("surrogate id", {**GOOD, "ids": with_surrogate(IDS)}, ("invalid `ids`: 1",)),
    (
        "everything at once",
        {"inputs": with_nan(0), "labels": LABELS[:5], "ids": np.array(["x"] * 6)},
        ("NaN or infinity", "`labels` has 5 rows", "`ids` that occur more than once"),
    ),
]


@pytest.mark.parametrize(
    ("arrays", "said"), [row[1:] for row in BAD_ARRAYS], ids=[row[0] for row in BAD_ARRAYS]
)
def test_bad_arrays_are_refused(sets: Sets, arrays: Arrays, said: tuple[str, ...]) -> None:
    text = "; ".join(map(str, sets.problems(sets.npz(**arrays))))
    for part in said:
        assert part in text


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


@pytest.mark.parametrize(
    ("inputs", "kind", "shape"),
    [
        (IMAGES, InputKind.IMAGE, (4, 4)),
        (np.zeros((6, 5, 4, 3), np.uint8), InputKind.IMAGE, (5, 4, 3)),
        (np.asfortranarray(VECTORS), InputKind.VECTOR, (3,)),
    ],
)
def test_good_arrays_are_loaded(
    sets: Sets, inputs: np.ndarray, kind: InputKind, shape: tuple[int, ...]
) -> None:
    path = sets.npz(inputs=inputs, labels=LABELS, ids=IDS, extra=np.ones(2))
    found = sets.load(path, sha256_file(path))
    assert len(found) == 6
    assert (found.inputs == inputs).all()
    assert found.inputs.flags.c_contiguous
    assert found.labels.tolist() == LABELS.tolist()
    assert found.ids.tolist() == IDS.tolist()
    assert found.digest == sha256_file(path)
    spec = found.input_spec()
    assert (spec.kind, spec.shape) == (kind, shape)
    assert spec.dtype == str(found.inputs.dtype)


def test_numbers_are_fine_as_labels_and_row_numbers_as_ids(sets: Sets) -> None:
    found = sets.load(sets.npz(inputs=VECTORS, labels=np.array([3, 3, -1, -1, 0, 0])))
    assert found.labels.tolist() == ["3", "3", "-1", "-1", "0", "0"]
    assert found.ids.tolist() == ["0", "1", "2", "3", "4", "5"]


def test_text_and_numbers_of_either_byte_order_are_the_same(sets: Sets) -> None:
    found = sets.load(
        sets.npz(
            inputs=VECTORS, labels=np.array(list("ééaabb"), ">U1"), ids=np.arange(6, dtype=">i8")
        )
    )
    assert found.labels.tolist() == list("ééaabb")
    assert found.ids.tolist() == list("012345")


def test_a_set_that_is_replaced_while_it_is_read_is_the_one_that_was_hashed(
    sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sets.npz(**GOOD)
    expected = sha256_file(path)
    np.savez(sets.volume / "next.npz", inputs=VECTORS, labels=LABELS)
    real = loading_module.sha256_stream

    def replace_after(file: io.BufferedReader) -> str:
        digest = real(file)
        (sets.volume / "next.npz").replace(path)
        return digest

    monkeypatch.setattr(loading_module, "sha256_stream", replace_after)
    found = sets.load(path)
    assert found.digest == expected and (found.inputs == IMAGES).all()
    assert sha256_file(path) != expected


def test_a_set_that_the_pod_may_not_read_is_worth_another_look(
    sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sets.npz(**GOOD)

    def refuse(file: io.BufferedReader) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(loading_module, "sha256_stream", refuse)
    with pytest.raises(StoreError, match=r"Permission denied.*may read it"):
        sets.load(path)


def test_a_corpus_needs_no_labels(sets: Sets) -> None:
    assert sets.load(sets.npz(inputs=VECTORS), need_labels=False).labels.tolist() == [""] * 6
    some = np.array(["a", "", "b", "", "c", ""])
    found = sets.load(sets.npz(inputs=VECTORS, labels=some), need_labels=False)
    assert found.labels.tolist() == some.tolist()
    none = np.array([""] * 6)
    found = sets.load(sets.npz(inputs=VECTORS, labels=none), need_labels=False)
    assert found.labels.tolist() == [""] * 6
    # What is there has to be sound all the same.
    path = sets.npz(inputs=VECTORS, labels=with_surrogate(LABELS))
    (wrong,) = sets.problems(path, need_labels=False)
    assert "invalid `labels`" in wrong.what


def test_the_digest_is_checked_before_anything_is_parsed(sets: Sets) -> None:
    path = sets.volume / "set.npz"
    path.write_bytes(b"not even an archive")
    promised = "sha256:" + "0" * 64
    with pytest.raises(ArtifactError) as caught:
        sets.load(path, promised)
    for part in (str(path), promised, sha256_file(path)):
        assert part in str(caught.value)


def test_a_set_of_the_other_format_is_named(sets: Sets) -> None:
    (sets.volume / "folder.npz").mkdir()
    (wrong,) = sets.problems(sets.volume / "folder.npz")
    assert "set format: ImageFolder" in wrong.fix
    (sets.volume / "file").write_bytes(b"x")
    (wrong,) = sets.problems(sets.volume / "file")
    assert "set format: NPZ" in wrong.fix


def picture(
    folder: Path, name: str, *, mode: str = "L", size: tuple[int, int] = (6, 4), kind: str = "PNG"
) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 7 if mode in {"L", "P", "1"} else None).save(path, kind)
    return path


@pytest.fixture
def folder(volume: Path) -> Path:
    found = volume / "pictures"
    for name in ("a/1.png", "a/2.png", "b/1.PNG", "b/2.png"):
        picture(found, name)
    return found


def test_a_folder_is_loaded(sets: Sets, folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "a" / ".hidden").write_bytes(b"x")
    (folder / "b" / "3.png").symlink_to(folder / "a" / "1.png")
    found = sets.load(folder)
    assert found.inputs.shape == (5, 4, 6)
    assert (found.inputs == 7).all()
    assert found.labels.tolist() == list("aabbb")
    assert found.ids.tolist() == ["a/1.png", "a/2.png", "b/1.PNG", "b/2.png", "b/3.png"]
    assert sets.load(folder, found.digest).digest == found.digest
    picture(folder, "a/2.png", size=(4, 6))
    with pytest.raises(ArtifactError, match="not the one that was asked for"):
        sets.load(folder, found.digest)


def test_a_folder_of_colour_is_loaded(sets: Sets, volume: Path) -> None:
    picture(volume / "colour", "a/1.jpg", mode="RGB", kind="JPEG")
    picture(volume / "colour", "b/1.jpeg", mode="RGB", kind="JPEG")
    found = sets.load(volume / "colour")
    assert found.inputs.shape == (2, 4, 6, 3)
    assert found.input_spec().shape == (4, 6, 3)


def empty_folder(folder: Path) -> None:
    for path in folder.rglob("*.*"):
        path.unlink()


def truncated_picture(folder: Path) -> None:
    random = np.random.default_rng(0).integers(0, 255, size=(4, 6), dtype=np.uint8)
    Image.fromarray(random).save(folder / "a/2.png")
    data = (folder / "a/2.png").read_bytes()
    (folder / "a/2.png").write_bytes(data[: len(data) - 30])


def bomb(folder: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(folder / "a/2.png")


def large(folder: Path) -> None:
    Image.new("1", (4097, 4096)).save(folder / "a/2.png")


def endless(folder: Path) -> None:
    with (folder / "a/2.png").open("ab") as file:
        file.truncate(images_module.MAX_FILE_BYTES + 1)


BAD_FOLDERS: list[tuple[str, Callable[[Path], object], str]] = [
    ("no image", empty_folder, "the set holds no image"),
    (
        "another size",
        lambda f: picture(f, "a/2.png", size=(4, 6)),
        "not L 6x4 like most: 1 (e.g. a/2.png: L 4x6)",
    ),
    ("another mode", lambda f: picture(f, "a/2.png", mode="RGB"), "a/2.png: RGB 6x4"),
    (
        "alpha",
        lambda f: picture(f, "a/2.png", mode="RGBA"),
        "mode that is not accepted: 1 (e.g. a/2.png: RGBA",
    ),
    ("palette", lambda f: picture(f, "a/2.png", mode="P"), "a/2.png: P"),
    ("16 bits", lambda f: picture(f, "a/2.png", mode="I;16"), "a/2.png: I;16"),
    ("one bit", lambda f: picture(f, "a/2.png", mode="1"), "a/2.png: 1"),
    ("text", lambda f: (f / "a/2.png").write_bytes(b"hello"), "a/2.png: neither PNG nor JPEG"),
    ("no bytes", lambda f: (f / "a/2.png").write_bytes(b""), "a/2.png: neither PNG nor JPEG"),
    ("a GIF by another name", lambda f: picture(f, "a/2.png", kind="GIF"), "neither PNG nor JPEG"),
    ("truncated", truncated_picture, "cannot be decoded: 1 (e.g. a/2.png"),
    ("a bomb", bomb, "a/2.png: Image size (400000000 pixels) exceeds"),
    ("large", large, "a/2.png: 4097x4096 pixels exceed"),
    (
        "other files",
        lambda f: (f / "a/notes.txt").write_bytes(b"x"),
        "by name: 1 (e.g. a/notes.txt)",
    ),
    (
        "files beside the classes",
        lambda f: picture(f, "1.png"),
        "beside the class folders: 1 (e.g. 1.png)",
    ),
    ("nested folders", lambda f: picture(f, "a/b/1.png"), "inside of a class folder: 1 (e.g. a/b)"),
    ("an empty class", lambda f: (f / "c").mkdir(), "class folders without an image: 1 (e.g. c)"),
    (
        "a link out of the set",
        lambda f: (f / "a/3.png").symlink_to("/etc/hostname"),
        "lead out of the set, or nowhere: 1 (e.g. a/3.png)",
    ),
    ("a class that is a link", lambda f: (f / "c").symlink_to("/etc"), "or nowhere: 1 (e.g. c)"),
    ("a pipe", lambda f: os.mkfifo(f / "a/3.png"), "pipes, sockets, devices): 1 (e.g. a/3.png)"),
    (
        "a name that is no text",
        lambda f: picture(f, "a/3.png").rename(f / os.fsdecode(b"a/\xff.png")),
        "rows with invalid `ids`: 1 (e.g. row 2)",
    ),
    (
        "a name of two lines",
        lambda f: picture(f, "a/x\ny.png"),
        "control characters in `ids`: 1 (e.g. row 2)",
    ),
    ("an endless file", endless, "a/2.png: 67108865 bytes exceed 67108864"),
    ("a link to nowhere", lambda f: (f / "a/3.png").symlink_to("missing.png"), "or nowhere: 1"),
]


@pytest.mark.parametrize(
    ("spoil", "said"), [row[1:] for row in BAD_FOLDERS], ids=[row[0] for row in BAD_FOLDERS]
)
def test_bad_folders_are_refused(
    sets: Sets, folder: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(folder)
    assert said in "; ".join(map(str, sets.problems(folder)))


def test_a_folder_with_many_faults_names_them_all(sets: Sets, folder: Path) -> None:
    picture(folder, "stray.png")
    picture(folder, "a/odd.png", size=(1, 1))
    (folder / "c").mkdir()
    text = "; ".join(map(str, sets.problems(folder)))
    for part in ("stray.png", "a/odd.png: L 1x1", "class folders without an image"):
        assert part in text


def test_a_picture_that_changes_while_the_set_is_read_is_named(folder: Path) -> None:
    listed = scan(folder).images
    Image.new("L", (6, 4), 8).save(folder / "a/2.png")
    decoded, problems = read_images(listed)
    assert decoded is None
    assert "a/2.png: changed while the set was read" in str(problems[0])


def test_images_that_would_fill_the_memory_are_refused(folder: Path) -> None:
    assert images_module.MAX_BYTES == 16 * 1024**3
    decoded, problems = read_images(scan(folder).images, max_bytes=95)
    assert decoded is None
    assert "decode to 96 bytes" in problems[0].what


def test_examples_are_few_and_short() -> None:
    problem = Problem("what", 3, ("a", "b"), "fix")
    assert str(problem) == "what: 3 (e.g. a, b). Fix: fix"
    assert str(DatasetError([problem, problem])) == f"{problem}; {problem}"
