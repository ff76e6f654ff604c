"""A real ONNX graph, run by the real runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lockstep_core.artifacts import (
    InputKind,
    InputSpec,
    ModelManifest,
    Role,
    describe_files,
    sha256_bytes,
)
from lockstep_core.encoding import Encoder, EncodingError, SelfCheckError

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
