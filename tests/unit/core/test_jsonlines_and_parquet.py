"""Parquet and JSONLines that are sound, under usual and other names; texts in all formats."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image

import lockstep_core.datasets.rows as rows_module
from lockstep_core.artifacts import ArtifactStore, InputKind, sha256_file
from lockstep_core.datasets import Dataset, DatasetError, is_text, load_dataset, read_dataset
from lockstep_core.datasets.columns import Columns
from lockstep_core.datasets.jsonlines import read_jsonlines
from lockstep_core.datasets.parquet import read_parquet
from lockstep_core.protocol.datasets import ColumnsSpec, DatasetFormat, DatasetSpec

pytestmark = pytest.mark.unit

LABELS = list("aabbcc")
TEXTS = ["one", "two", "drei", "четыре", "五", "six 🙂"]
VECTORS = [[float(row), 0.5] for row in range(6)]
NAMED = {"columns": {"input": "title", "label": "product", "group": "shop", "id": "sku"}}
PARTS = {
    "title": TEXTS,
    "product": [1, 1, 2, 2, 3, 3],
    "shop": list("xyxyxy"),
    "sku": list("uvwxyz"),
}
USUAL = Columns("input", "label", "id", None, frozenset({"input", "label"}))


def png(value: int, size: tuple[int, int] = (4, 3), mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, value).save(file, "PNG")
    return file.getvalue()


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    """The same columns in the format that the suffix of `path` says."""
    if path.suffix == ".npz":
        np.savez(path, **{name: np.array(values) for name, values in columns.items()})
    elif path.suffix == ".parquet":
        parquet.write_table(arrow.table(columns), path, **options)
    else:
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        path.write_text(
            "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), "utf-8"
        )
    return path


FORMATS = {".npz": "NPZ", ".parquet": "Parquet", ".jsonl": "JSONLines"}


def load(store: ArtifactStore, path: Path, *, need_labels: bool = True, **spec: Any) -> Dataset:
    asked = DatasetSpec.model_validate(
        {"uri": f"file://{path}", "format": FORMATS[path.suffix], **spec}
    )
    return load_dataset(asked, store, path.parent / "work", need_labels=need_labels)


@pytest.mark.parametrize("suffix", FORMATS)
def test_texts_are_the_same_in_each_format(volume: Path, store: ArtifactStore, suffix: str) -> None:
    path = write(volume / f"set{suffix}", PARTS)
    found = load(store, path, **NAMED)
    assert is_text(found.inputs) and found.inputs.shape == (6,)
    assert found.inputs.tolist() == TEXTS
    assert found.labels.tolist() == ["1", "1", "2", "2", "3", "3"]
    assert found.groups is not None and found.groups.tolist() == PARTS["shop"]
    assert found.ids.tolist() == PARTS["sku"]
    assert found.digest == sha256_file(path)
    spec = found.input_spec()
    assert (spec.kind, spec.shape, spec.dtype) == (InputKind.TEXT, (), "text")


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_usual_names_and_row_numbers(volume: Path, store: ArtifactStore, suffix: str) -> None:
    path = write(volume / f"set{suffix}", {"input": VECTORS, "label": LABELS, "other": LABELS})
    found = load(store, path)
    assert found.inputs.dtype == np.float32 and found.inputs.tolist() == VECTORS
    assert found.labels.tolist() == LABELS
    assert found.ids.tolist() == list("012345")
    assert found.groups is None


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_corpus_needs_labels_only_where_it_names_them(
    volume: Path, store: ArtifactStore, suffix: str
) -> None:
    path = write(volume / f"set{suffix}", {"input": TEXTS})
    assert load(store, path, need_labels=False).labels.tolist() == [""] * 6
    with pytest.raises(DatasetError, match=r"columns\.label"):
        load(store, path, need_labels=False, columns={"label": "product"})


VECTOR_TYPES = [
    arrow.list_(arrow.float32()),
    arrow.list_(arrow.float64()),
    arrow.list_(arrow.float16()),
    arrow.list_(arrow.float32(), 2),
    arrow.large_list(arrow.float64()),
]


@pytest.mark.parametrize("kind", VECTOR_TYPES, ids=str)
def test_vectors_of_any_list_of_floats(volume: Path, store: ArtifactStore, kind: Any) -> None:
    values = [np.array(each, np.float16) for each in VECTORS] if "half" in str(kind) else VECTORS
    column = arrow.array(values, kind)
    path = write(volume / "set.parquet", {"input": column, "label": LABELS}, row_group_size=4)
    found = load(store, path)
    assert found.inputs.dtype == np.float32 and found.inputs.tolist() == VECTORS


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_images_are_decoded_in_any_compression(
    volume: Path, store: ArtifactStore, compression: str
) -> None:
    columns = {"input": [png(row) for row in range(6)], "label": LABELS}
    found = load(store, write(volume / "set.parquet", columns, compression=compression))
    assert found.inputs.shape == (6, 3, 4)
    assert found.inputs[:, 0, 0].tolist() == list(range(6))


def test_images_as_structs_of_bytes_and_path(volume: Path, store: ArtifactStore) -> None:
    rows = [{"bytes": png(0, mode="RGB"), "path": None} for _ in range(6)]
    found = load(store, write(volume / "set.parquet", {"input": rows, "label": LABELS}))
    assert found.inputs.shape == (6, 3, 4, 3)


def test_labels_that_are_dictionaries(volume: Path, store: ArtifactStore) -> None:
    labels = arrow.array(LABELS).dictionary_encode()
    found = load(store, write(volume / "set.parquet", {"input": TEXTS, "label": labels}))
    assert found.labels.tolist() == LABELS


def test_batches_and_row_groups_leave_the_order(volume: Path, store: ArtifactStore) -> None:
    count = 2500
    columns = {
        "input": [f"text {row}" for row in range(count)],
        "label": [row % 7 for row in range(count)],
    }
    path = write(volume / "set.parquet", columns, row_group_size=900)
    assert load(store, path).inputs.tolist() == columns["input"]


def test_two_columns_of_a_name_are_refused(volume: Path, store: ArtifactStore) -> None:
    table = arrow.table([TEXTS, LABELS, LABELS], names=["input", "label", "label"])
    parquet.write_table(table, volume / "set.parquet")
    with pytest.raises(DatasetError, match="2 columns are named `label`"):
        load(store, volume / "set.parquet")


def test_blank_lines_at_the_end_are_forgiven(volume: Path, store: ArtifactStore) -> None:
    path = write(volume / "set.jsonl", {"input": TEXTS, "label": LABELS})
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\n  \n")
    assert len(load(store, path)) == 6


def test_what_is_sound_is_told_beside_what_is_not(volume: Path, store: ArtifactStore) -> None:
    """A validation goes on with the labels when items are damaged."""
    columns = {"input": [*TEXTS[:5], ""], "label": LABELS}
    path = write(volume / "set.parquet", columns)
    spec = DatasetSpec(uri=f"file://{path}", format=DatasetFormat.PARQUET)
    reading = read_dataset(spec, store, volume / "work")
    assert reading.inputs is None
    assert reading.labels is not None and reading.labels.tolist() == LABELS
    assert "row 5" in str(reading.problems[0])


def test_sets_that_would_fill_the_memory_are_refused(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write(volume / "set.parquet", {"input": VECTORS * 50, "label": LABELS * 50})
    with table.open("rb") as file, pytest.raises(DatasetError, match="bytes once unpacked"):
        read_parquet(file, "set", USUAL, max_bytes=500)
    with table.open("rb") as file, pytest.raises(DatasetError, match="declares 600 numbers"):
        read_parquet(file, "set", USUAL, max_bytes=2399)
    images = write(volume / "images.parquet", {"input": [png(0, (90, 90))] * 6, "label": LABELS})
    with images.open("rb") as file, pytest.raises(DatasetError, match="decode to 48600 bytes"):
        read_parquet(file, "set", USUAL, max_bytes=5000)
    lines = write(volume / "set.jsonl", {"input": TEXTS, "label": LABELS})
    with lines.open("rb") as file, pytest.raises(DatasetError, match="store the set as NPZ"):
        read_jsonlines(file, "set", USUAL, max_bytes=100)
    monkeypatch.setattr(rows_module, "MAX_NAME_BYTES", 20)
    with lines.open("rb") as file, pytest.raises(DatasetError, match="`label` takes 24 bytes"):
        read_jsonlines(file, "set", USUAL)


def test_defaults_go_by_the_format_and_given_names_are_needed() -> None:
    def of(format: str, suffix: str, columns: ColumnsSpec | None = None) -> Columns:
        spec = DatasetSpec(uri=f"file:///a{suffix}", format=DatasetFormat(format), columns=columns)
        return Columns.of(spec, need_labels=False)

    assert of("NPZ", ".npz").all == ("inputs", "labels", "ids")
    assert of("Parquet", ".parquet").all == ("input", "label", "id")
    named = of("JSONLines", ".jsonl", ColumnsSpec(label="y", group="y"))
    assert named.all == ("input", "y", "id")
    assert named.needed == {"input", "y"}


def told(store: ArtifactStore, path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        load(store, path)
    return str(caught.value)


def test_texts_in_a_column_of_bytes_are_told_with_the_writers_option(
    volume: Path, store: ArtifactStore
) -> None:
    untyped = arrow.array([text.encode() for text in TEXTS], arrow.binary())
    said = told(store, write(volume / "set.parquet", {"input": untyped, "label": LABELS}))
    assert f"rows whose `input` is text in a column of bytes: {len(TEXTS)}" in said
    assert "pyarrow.string()" in said and "object_encoding='utf8'" in said
    assert "decoded" not in said
    labels = arrow.array([str(label).encode() for label in LABELS], arrow.binary())
    said = told(store, write(volume / "set.parquet", {"input": TEXTS, "label": labels}))
    assert "column `label` is binary" in said and "pyarrow.string()" in said
    # What is no text either stays a broken image.
    broken = arrow.array([b"\x89PNG\r\n\x1a\n"] * len(LABELS), arrow.binary())
    said = told(store, write(volume / "set.parquet", {"input": broken, "label": LABELS}))
    assert "rows whose `input` cannot be decoded" in said


def test_paths_without_bytes_are_told_with_the_writers_option(
    volume: Path, store: ArtifactStore
) -> None:
    rows = [{"bytes": None, "path": f"{at}.png"} for at in range(len(LABELS))]
    kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    columns = {"input": arrow.array(rows, kind), "label": LABELS}
    said = told(store, write(volume / "set.parquet", columns))
    assert (
        f"rows whose `input.bytes` is null: they may name a file, but do not hold it: {len(LABELS)}"
        in said
    )
    assert "embed_table_storage" in said


@pytest.mark.parametrize("kind", [arrow.list_view, arrow.large_list_view])
def test_vectors_of_views_of_lists(volume: Path, store: ArtifactStore, kind: Any) -> None:
    column = arrow.array(VECTORS, kind(arrow.float32()))
    found = load(store, write(volume / "set.parquet", {"input": column, "label": LABELS}))
    np.testing.assert_array_equal(found.inputs, np.array(VECTORS, np.float32))
    ragged = arrow.array(
        [[1.0, 2.0], [1.0], None, [], [3.0, 4.0], [5.0, 6.0]], kind(arrow.float32())
    )
    said = told(store, write(volume / "set.parquet", {"input": ragged, "label": LABELS}))
    assert "rows without `input`: 1 (e.g. row 2)" in said
    assert "without numbers: 1 (e.g. row 3)" in said and "e.g. row 1)" in said
