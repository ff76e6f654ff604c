"""A real ONNX graph, run by the real runtime."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageFile

from lockstep_core.artifacts import (
    InputKind,
    InputSpec,
    ModelManifest,
    Role,
    describe_files,
    sha256_bytes,
)
from lockstep_core.encoding import Encoder, EncodingError, SelfCheckError, decode_items
from lockstep_core.encoding.items import MAX_IMAGE_BYTES

pytestmark = pytest.mark.unit

IMAGE = InputSpec(kind=InputKind.IMAGE, shape=(4, 6), dtype="uint8")
COLOUR = InputSpec(kind=InputKind.IMAGE, shape=(4, 6, 3), dtype="uint8")
VECTOR = InputSpec(kind=InputKind.VECTOR, shape=(3,), dtype="float32")
DIMENSION = 5


def graph(
    spec: InputSpec,
    *,
    output: str = "sentence_embedding",
    declared: tuple[str | int, ...] = ("batch", DIMENSION),
    width: int = DIMENSION,
) -> bytes:
    """Flatten, project, normalise."""
    size = int(np.prod(spec.shape))
    weights = np.random.default_rng(0).normal(size=(size, width)).astype(np.float32)
    element = TensorProto.UINT8 if spec.dtype == "uint8" else TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["input"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["real"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["projected"]),
        helper.make_node("LpNormalization", ["projected"], [output], axis=1, p=2),
    ]
    built = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("input", element, ["batch", *spec.shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, list(declared))],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def manifest_of(directory: Path, spec: InputSpec) -> ModelManifest:
    return ModelManifest.describe(
        describe_files(directory, {"model.onnx": Role.SERVING, "golden.npz": Role.CHECK}),
        preprocessing_digest=sha256_bytes(b"none"),
        pooling="None",
        normalisation="L2",
        dimension=DIMENSION,
        input=spec,
        provenance={},
    )


def golden_inputs(spec: InputSpec) -> np.ndarray:
    random = np.random.default_rng(1)
    if spec.kind is InputKind.VECTOR:
        return random.normal(size=(8, *spec.shape)).astype(np.float32)
    return random.integers(0, 256, size=(8, *spec.shape), dtype=np.uint8)


def write_artifact(directory: Path, spec: InputSpec, **built: Any) -> ModelManifest:
    """Model and golden vectors as a trainer would write them."""
    directory.mkdir(exist_ok=True)
    (directory / "model.onnx").write_bytes(graph(spec, **built))
    inputs = golden_inputs(spec)
    blank = np.zeros((8, DIMENSION), np.float32)
    np.savez(directory / "golden.npz", inputs=inputs, embeddings=blank)
    if built:
        return manifest_of(directory, spec)
    embeddings = Encoder.load(directory, manifest_of(directory, spec)).encode(inputs)
    np.savez(directory / "golden.npz", inputs=inputs, embeddings=embeddings)
    return manifest_of(directory, spec)


@pytest.mark.parametrize("spec", [IMAGE, COLOUR, VECTOR])
def test_items_become_unit_vectors(tmp_path: Path, spec: InputSpec) -> None:
    encoder = Encoder.load(tmp_path, write_artifact(tmp_path, spec), threads=1)
    assert (encoder.dimension, encoder.input) == (DIMENSION, spec)
    inputs = np.concatenate([encoder.golden_inputs] * 3)
    heard: list[int] = []
    found = encoder.encode(inputs, batch_size=10, on_batch=heard.append)
    assert heard == [10, 20, 24]
    assert found.shape == (24, DIMENSION)
    assert found.dtype == np.float32
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert found == pytest.approx(encoder.encode(inputs), abs=1e-6)
    assert encoder.encode(inputs[:0]).shape == (0, DIMENSION)
    encoder.check_golden()
    assert found[:8] == pytest.approx(encoder.golden_embeddings, abs=1e-6)


@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((2, 6, 4), np.uint8),
        np.zeros((2, 4, 6, 1), np.uint8),
        np.zeros((2, 4, 6), np.float32),
        np.zeros((2, 24), np.uint8),
    ],
)
def test_other_items_are_refused(tmp_path: Path, inputs: np.ndarray) -> None:
    encoder = Encoder.load(tmp_path, write_artifact(tmp_path, IMAGE))
    with pytest.raises(EncodingError, match=r"this encoder takes uint8 \[4, 6\]"):
        encoder.encode(inputs)


def test_an_embedding_that_is_not_finite_names_the_item(tmp_path: Path) -> None:
    encoder = Encoder.load(tmp_path, write_artifact(tmp_path, VECTOR))
    inputs = np.ones((7, 3), np.float32)
    inputs[5] = np.nan
    with pytest.raises(EncodingError, match=r"item 5: .*not finite") as caught:
        encoder.encode(inputs, batch_size=3)
    assert caught.value.item == 5


def test_a_graph_that_does_not_keep_its_word_is_an_error(tmp_path: Path) -> None:
    """The declared shape is the manifest's, the computed one is not."""
    model = write_artifact(tmp_path, VECTOR, width=DIMENSION + 1, declared=("batch", DIMENSION))
    with pytest.raises((EncodingError, SelfCheckError)):
        Encoder.load(tmp_path, model).encode(np.ones((2, 3), np.float32))


def test_a_runtime_failure_is_an_encoding_error(tmp_path: Path) -> None:
    encoder = Encoder.load(tmp_path, write_artifact(tmp_path, VECTOR))

    class Broken:
        def run(self, *args: object) -> None:
            raise RuntimeError("out of luck\nand more")

    encoder._session = Broken()
    with pytest.raises(EncodingError, match=r"the encoder failed: out of luck$"):
        encoder.encode(np.ones((2, 3), np.float32))
    with pytest.raises(SelfCheckError, match=r"golden\.npz: the encoder failed"):
        encoder.check_golden()


def test_a_runtime_that_gives_another_shape_is_an_encoding_error(tmp_path: Path) -> None:
    encoder = Encoder.load(tmp_path, write_artifact(tmp_path, VECTOR))

    class Wide:
        def run(self, *args: object) -> list[np.ndarray]:
            return [np.ones((2, DIMENSION + 1), np.float32)]

    encoder._session = Wide()
    with pytest.raises(EncodingError, match=r"gave \[2, 6\], not \[2, 5\]"):
        encoder.encode(np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    ("built", "said"),
    [
        ({"output": "embedding"}, "sentence_embedding"),
        ({"declared": ("batch", 6), "width": 6}, r"\(6,\)"),
        ({"declared": (DIMENSION,)}, r"sentence_embedding|cannot be loaded"),
    ],
)
def test_a_graph_that_is_not_as_described_is_refused(
    tmp_path: Path, built: dict[str, Any], said: str
) -> None:
    model = write_artifact(tmp_path, IMAGE, **built)
    with pytest.raises(SelfCheckError, match=said):
        Encoder.load(tmp_path, model)


def test_a_graph_for_other_items_is_refused(tmp_path: Path) -> None:
    write_artifact(tmp_path, IMAGE)
    with pytest.raises(SelfCheckError, match=r"takes .* its manifest says"):
        Encoder.load(tmp_path, manifest_of(tmp_path, VECTOR))


def test_bytes_that_are_no_graph_are_refused(tmp_path: Path) -> None:
    model = write_artifact(tmp_path, IMAGE)
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(SelfCheckError, match=r"model\.onnx cannot be loaded"):
        Encoder.load(tmp_path, model)


Golden = dict[str, np.ndarray]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda g: {"inputs": g["inputs"]}, "array `embeddings` is missing"),
        (lambda g: {**g, "inputs": g["inputs"][:0]}, r"inputs are uint8 \[0, 4, 6\]"),
        (lambda g: {**g, "inputs": np.uint8(1)}, r"inputs are uint8 \[\]"),
        (lambda g: {**g, "inputs": g["inputs"][:, :3]}, r"inputs are uint8 \[8, 3, 6\]"),
        (lambda g: {**g, "inputs": g["inputs"].astype("f4")}, "inputs are float32"),
        (lambda g: {**g, "embeddings": g["embeddings"][:7]}, r"float32 \[7, 5\], not"),
        (lambda g: {**g, "embeddings": g["embeddings"].astype("f8")}, "embeddings are float64"),
    ],
)
def test_golden_vectors_have_to_fit(
    tmp_path: Path, spoil: Callable[[Golden], Golden], said: str
) -> None:
    model = write_artifact(tmp_path, IMAGE)
    with np.load(tmp_path / "golden.npz") as golden:
        spoilt = spoil(dict(golden))
    np.savez(tmp_path / "golden.npz", **spoilt)
    with pytest.raises(SelfCheckError, match=said):
        Encoder.load(tmp_path, model)


def test_golden_vectors_of_another_model_fail_the_check(tmp_path: Path) -> None:
    model = write_artifact(tmp_path, IMAGE)
    with np.load(tmp_path / "golden.npz") as golden:
        inputs, embeddings = golden["inputs"], golden["embeddings"]
    for moved in (np.roll(embeddings, 1, axis=0), embeddings + np.float32(2e-3), -embeddings,
                  np.full_like(embeddings, np.nan)):  # fmt: skip
        np.savez(tmp_path / "golden.npz", inputs=inputs, embeddings=moved)
        with pytest.raises(SelfCheckError, match=r"golden vectors differ by .*least cosine"):
            Encoder.load(tmp_path, model).check_golden()
    np.savez(tmp_path / "golden.npz", inputs=inputs, embeddings=embeddings + np.float32(1e-4))
    Encoder.load(tmp_path, model).check_golden()


def test_the_fixture_is_a_sound_graph(tmp_path: Path) -> None:
    onnx.checker.check_model(onnx.load_from_string(graph(IMAGE)))


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
