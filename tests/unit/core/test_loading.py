"""A table of bad sets, each with what is said about it; and the good ones beside them."""

from __future__ import annotations

import io

import numpy as np
import pytest

import lockstep_core.datasets.loading as loading_module
from lockstep_core.artifacts import ArtifactError, InputKind, StoreError, sha256_file
from lockstep_core.datasets import DatasetError, Problem
from tests.unit.core.support import GOOD, IDS, IMAGES, LABELS, VECTORS, Arrays, Sets

pytestmark = pytest.mark.unit


def with_surrogate(values: np.ndarray) -> np.ndarray:
    found = values.copy()
    found.view(np.uint32)[0] = 0xD800
    return found


def with_nan(row: int, value: float = float("nan")) -> np.ndarray:
    found = VECTORS.copy()
    found[row, 1] = value
    return found


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


def test_examples_are_few_and_short() -> None:
    problem = Problem("what", 3, ("a", "b"), "fix")
    assert str(problem) == "what: 3 (e.g. a, b). Fix: fix"
    assert str(DatasetError([problem, problem])) == f"{problem}; {problem}"
