from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lockstep_core.artifacts import (
    ArtifactError,
    FileEntry,
    InputSpec,
    ModelManifest,
    Role,
    describe_files,
    digest_of_files,
    model_digest,
    sha256_bytes,
    sha256_file,
    space_id,
)

pytestmark = pytest.mark.unit

SPACE = {
    "model_digest": sha256_bytes(b"model"),
    "preprocessing_digest": sha256_bytes(b"preprocessing"),
    "pooling": "Mean",
    "normalisation": "L2",
    "dimension": 64,
}


def entry(path: str, role: Role = Role.SERVING, content: bytes = b"x") -> FileEntry:
    return FileEntry(path=path, sha256=sha256_bytes(content), bytes=len(content), role=role)


def test_digest_of_files_is_that_of_the_text_that_sha256sum_prints() -> None:
    files = [entry("b", content=b"2"), entry("a", content=b"1")]
    text = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in (("a", b"1"), ("b", b"2"))
    )
    assert digest_of_files(files) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert digest_of_files(reversed(files)) == digest_of_files(files)


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc" * 1000)
    assert sha256_file(tmp_path / "f") == sha256_bytes(b"abc" * 1000)


def test_space_id_is_fixed_for_all_time() -> None:
    joined = "\n".join(str(value) for value in SPACE.values())
    assert space_id(**SPACE) == hashlib.sha256(joined.encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("model_digest", sha256_bytes(b"another")),
        ("preprocessing_digest", sha256_bytes(b"another")),
        ("pooling", "Max"),
        ("normalisation", "None"),
        ("dimension", 65),
    ],
)
def test_every_part_of_the_identity_makes_another_space(field: str, other: object) -> None:
    assert space_id(**{**SPACE, field: other}) != space_id(**SPACE)


def test_only_serving_files_make_the_model(model: ModelManifest) -> None:
    report = [item for item in model.files if item.role is Role.REPORT]
    changed = [
        item if item.role is not Role.REPORT else entry(item.path, Role.REPORT, b"other")
        for item in model.files
    ]
    assert report
    assert model_digest(changed) == model.model_digest
    serving = [
        item if item.path != "model.onnx" else entry(item.path, content=b"other")
        for item in model.files
    ]
    assert model_digest(serving) != model.model_digest


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../x",
        "a//b",
        "./a",
        ".hidden",
        "a/.b",
        "a\\b",
        "a/",
        "a b",
        "x" * 256,
        "a\n",
        "a\0b",
        "ä",
    ],
)
def test_unsafe_paths_are_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="path"):
        entry(path)


@given(st.text(max_size=40))
def test_an_accepted_path_stays_in_its_folder(path: str) -> None:
    try:
        accepted = entry(path).path
    except ValidationError:
        return
    assert Path("/root-folder", accepted).resolve().is_relative_to("/root-folder")


def test_a_path_that_is_named_twice_is_refused(model: ModelManifest) -> None:
    wire = model.to_wire()
    wire["files"].append(wire["files"][-1])
    with pytest.raises(ValidationError, match="names a path twice"):
        ModelManifest.model_validate(wire)


def test_a_path_that_is_a_file_and_a_folder_is_refused(model: ModelManifest) -> None:
    wire = model.to_wire()
    wire["files"].append(entry("model.onnx/inner", Role.REPORT).to_wire())
    with pytest.raises(ValidationError, match="both as a file and as a folder"):
        ModelManifest.model_validate(wire)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("modelDigest", sha256_bytes(b"other"), "`modelDigest`"),
        ("spaceID", "0" * 12, "`spaceID`"),
        ("dimension", 9, "`spaceID`"),
        ("pooling", "Max", "`spaceID`"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    model: ModelManifest, field: str, value: object, said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        ModelManifest.model_validate({**model.to_wire(), field: value})


def test_equal_manifests_have_equal_bytes(model: ModelManifest) -> None:
    again = ModelManifest.model_validate(dict(reversed(model.to_wire().items())))
    assert again.to_bytes() == model.to_bytes()
    assert ModelManifest.model_validate_json(model.to_bytes()) == model


@pytest.mark.parametrize(
    ("kind", "shape", "dtype"),
    [
        ("Image", (4,), "uint8"),
        ("Image", (4, 4), "float32"),
        ("Vector", (4, 4), "float32"),
        ("Vector", (4,), "uint8"),
        ("Vector", (0,), "float32"),
    ],
)
def test_inputs_are_images_or_vectors(kind: str, shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(ValidationError):
        InputSpec.model_validate({"kind": kind, "shape": shape, "dtype": dtype})


def test_only_regular_files_are_described(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    for name in ("link", "missing", "."):
        with pytest.raises(ArtifactError, match="not a regular file"):
            describe_files(tmp_path, {name: Role.SERVING})
