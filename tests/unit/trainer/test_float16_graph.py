"""Weights in float16: which ones, what a session makes of them, and for every kind of encoder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from lockstep_core.encoding import INPUT_NAME, MODEL_FILE, OUTPUT_NAME, Encoder, as_texts
from lockstep_core.protocol.artifacts import ArtifactKind
from lockstep_core.protocol.training import EncoderSpec, ExportSpec, Int8Spec, Weights
from lockstep_trainer.artifact.export import Exported, compare_rounded, export
from lockstep_trainer.artifact.float16_graph import (
    MAX_ERROR,
    MIN_ELEMENTS,
    SUFFIX,
    float16_weights,
    write_float16,
)
from lockstep_trainer.artifact.manifest import describe
from lockstep_trainer.artifact.quantisation import neighbour_overlap
from lockstep_trainer.evaluation import embed
from lockstep_trainer.networks import Network, build_network
from lockstep_trainer.networks.onnx_graph import ExportError, run_onnx

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")
ROUNDED = ExportSpec(weights=Weights.FLOAT16)
SIDE = 16
Floats = np.ndarray[Any, np.dtype[np.float32]]


def a_matrix(seed: int = 0, *, side: int = SIDE) -> Floats:
    return np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)


def a_model(constants: dict[str, Any], *, side: int = SIDE) -> onnx.ModelProto:
    """[B, side] times each of the constants that is a matrix of float32."""
    nodes, source = [], INPUT_NAME
    for name, array in constants.items():
        if array.shape == (side, side) and array.dtype == np.float32:
            nodes.append(helper.make_node("MatMul", [source, name], [f"{name}.out"]))
            source = f"{name}.out"
    nodes.append(helper.make_node("Identity", [source], [OUTPUT_NAME]))
    given, made = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", side])
        for name in (INPUT_NAME, OUTPUT_NAME)
    )
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "net", [given], [made], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def saved(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with those weights as float32: nothing is left to cast."""
    full = onnx.ModelProto()
    full.CopyFrom(model)
    casts = {
        node.input[0]: node.output[0]
        for node in full.graph.node
        if node.op_type == "Cast" and node.input[0].endswith(SUFFIX)
    }
    rest = [node for node in full.graph.node if not {*node.input} & casts.keys()]
    del full.graph.node[:]
    full.graph.node.extend(rest)
    for each in full.graph.initializer:
        if each.name in casts:
            array = numpy_helper.to_array(each).astype(np.float32)
            each.CopyFrom(numpy_helper.from_array(array, casts[each.name]))
    return full


def one_in_a_million(matrix: Floats, value: float) -> Floats:
    matrix[0, 0] = value
    return matrix


MATRICES: dict[str, tuple[Any, bool]] = {
    "normal": (a_matrix(), True),
    "zero": (np.zeros((SIDE, SIDE), np.float32), True),
    "most": (one_in_a_million(a_matrix(), 65504), True),
    # A few numbers below the least normal one of float16 change nothing.
    "few-tiny": (one_in_a_million(a_matrix(), 1e-7), True),
    "conv": (a_matrix().reshape(4, 4, 4, 4), True),
    "beyond": (one_in_a_million(a_matrix(), 65520), False),
    "inf": (one_in_a_million(a_matrix(), np.inf), False),
    "nan": (one_in_a_million(a_matrix(), np.nan), False),
    "tiny": (a_matrix() * np.float32(1e-6), False),
    "vector": (a_matrix().ravel(), False),
    "few": (a_matrix(side=15), False),
    "int64": (a_matrix().astype(np.int64), False),
    "float64": (a_matrix().astype(np.float64), False),
}


@pytest.mark.parametrize(("constant", "changes"), MATRICES.values(), ids=list(MATRICES))
def test_a_matrix_is_rounded_where_float16_holds_it(constant: Any, changes: bool) -> None:
    model = a_model({"w": constant})
    assert float16_weights(model) == changes
    (kept,) = model.graph.initializer
    assert kept.name == ("w" + SUFFIX if changes else "w")
    found = numpy_helper.to_array(kept)
    assert found.dtype == (np.float16 if changes else constant.dtype)
    if changes:
        apart = np.linalg.norm(found.astype(np.float32) - constant)
        assert apart <= MAX_ERROR * np.linalg.norm(constant)
    else:
        np.testing.assert_array_equal(found, constant)


def test_a_constant_that_may_be_given_another_value_stays() -> None:
    model = a_model({"w": a_matrix()})
    shown = helper.make_tensor_value_info("w", TensorProto.FLOAT, [SIDE, SIDE])
    model.graph.input.append(shown)
    assert float16_weights(model) == 0


def test_a_session_holds_float32_alone_and_computes_with_it(tmp_path: Path) -> None:
    """ONNX Runtime casts on loading. Otherwise each request would, and a processor that computes in
    float16 could give other embeddings."""
    model = a_model({"w0": a_matrix(0), "bias": a_matrix()[0], "w1": a_matrix(1)})
    full = saved(model, tmp_path / "full.onnx")
    write_float16(full, tmp_path / "half.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "held.onnx")
    onnxruntime.InferenceSession(str(tmp_path / "half.onnx"), options)
    held = onnx.load(tmp_path / "held.onnx").graph
    assert {each.data_type for each in held.initializer} == {TensorProto.FLOAT}
    assert "Cast" not in {node.op_type for node in held.node}
    same = saved(rounded(onnx.load(tmp_path / "half.onnx")), tmp_path / "same.onnx")
    rows = a_matrix(3)
    assert (run_onnx(tmp_path / "half.onnx", rows) == run_onnx(same, rows)).all()
    assert (run_onnx(tmp_path / "half.onnx", rows) != run_onnx(full, rows)).any()


HELD = """
import ctypes, sys, onnxruntime
from benchmarks.memory import resident_mib
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = 1, 3
before = resident_mib()
session = onnxruntime.InferenceSession(sys.argv[1], options)
# Pages that were freed and not given back are not the session's.
ctypes.CDLL(None).malloc_trim(0)
print(resident_mib() - before)
"""


def test_a_session_takes_the_memory_of_float32(tmp_path: Path) -> None:
    side = 2048
    model = a_model({"w0": a_matrix(0, side=side), "w1": a_matrix(1, side=side)}, side=side)
    full, half = saved(model, tmp_path / "full.onnx"), tmp_path / "half.onnx"
    write_float16(full, half)
    assert half.stat().st_size == pytest.approx(full.stat().st_size / 2, rel=0.01)
    held = [
        float(subprocess.check_output([sys.executable, "-c", HELD, str(path)], text=True))
        for path in (full, half)
    ]
    # The halves that it read would be 16 MiB more.
    assert held[0] > 30 and abs(held[1] - held[0]) < 8


def images() -> Any:
    return np.random.default_rng(0).integers(0, 256, (300, 16, 16), dtype=np.uint8)


def vectors() -> Any:
    return np.random.default_rng(0).normal(size=(300, 48)).astype(np.float32)


def texts() -> Any:
    draw = np.random.default_rng(0)
    letters = np.array(list("abcdefghij klmnop"))
    lengths = draw.integers(5, 40, 300)
    return as_texts([f"{at} " + "".join(draw.choice(letters, n)) for at, n in enumerate(lengths)])


class Own(nn.Module):
    """A user's network of bytes."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, 32, padding_idx=0)
        self.projection = nn.Linear(32, dimension, bias=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.projection(self.embedding(inputs.long()).sum(1)), dim=1)


def own(*, shape: Any, width: int, dimension: int) -> nn.Module:
    return Own(dimension)


KINDS: dict[str, tuple[dict[str, Any], Any]] = {
    "CNN": ({"width": 16}, images),
    "MLP": ({"width": 64}, vectors),
    "CharCNN": ({"width": 16}, texts),
    "Custom": ({"entrypoint": f"{__name__}:own"}, texts),
}


def built(kind: str, inputs: Any, monkeypatch: pytest.MonkeyPatch) -> Network:
    from types import SimpleNamespace

    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(own=own))
    spec = EncoderSpec(kind=kind, dimension=32, **KINDS[kind][0])
    return build_network(spec, inputs.shape[1:], seed=0)


def opened(network: Network, done: Exported, folder: Path) -> Encoder:
    return Encoder.load(folder, describe(network, done, folder, provenance={}))


@pytest.mark.programs
@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_encoder_embeds_as_its_rounded_weights_do(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = KINDS[kind][1]()
    network = built(kind, inputs, monkeypatch)
    for name in ("full", "half"):
        (tmp_path / name).mkdir()
    full = opened(network, export(network, inputs, tmp_path / "full"), tmp_path / "full")
    done = export(network, inputs, tmp_path / "half", ROUNDED)
    encoder = opened(network, done, tmp_path / "half")
    found = encoder.encode(inputs)

    # The same graph with those weights as float32, and torch with them.
    half = onnx.load(tmp_path / "half" / MODEL_FILE)
    same = saved(rounded(half), tmp_path / "same.onnx")
    prepared = network.preprocessing.prepare(inputs)
    assert np.abs(run_onnx(same, prepared) - found).max() <= 1e-6
    with torch.no_grad():
        for weights in network.parameters():
            if weights.ndim > 1 and weights.numel() >= MIN_ELEMENTS:
                weights.copy_(weights.half().float())
    assert np.abs(embed(network, inputs, device=CPU) - found).max() <= 1e-6
    # So its golden vectors are: what is published is what serves.
    golden = encoder.encode(encoder.golden_inputs)
    assert np.abs(golden - encoder.golden_embeddings).max() <= 1e-6
    encoder.check_golden()

    assert 0 < np.abs(full.encode(inputs) - found).max() < 1e-3
    assert done.rounding is not None and done.rounding.overlap is not None
    assert done.rounding.overlap >= 0.99 and done.rounding.parity.min_cosine > 0.99999
    assert done.rounding.overlap == pytest.approx(
        neighbour_overlap(full.encode(inputs), found), abs=1e-3
    )
    sizes = [len(numpy_helper.to_array(each).tobytes()) for each in half.graph.initializer]
    before = onnx.load(tmp_path / "full" / MODEL_FILE).graph.initializer
    assert sum(sizes) < 0.6 * sum(each.ByteSize() for each in before)
    assert encoder.kind is ArtifactKind.FLOAT32


@pytest.mark.programs
def test_a_manifest_says_it_beside_a_kind_of_float32(tmp_path: Path) -> None:
    inputs = vectors()
    network = build_network(EncoderSpec(kind="MLP", dimension=8, width=32), (48,), seed=0)
    manifests = []
    for name, spec in (("full", ExportSpec()), ("half", ROUNDED)):
        (tmp_path / name).mkdir()
        done = export(network, inputs, tmp_path / name, spec)
        manifests.append(describe(network, done, tmp_path / name, provenance={}))
    full, half = manifests
    assert (full.kind, half.kind) == (None, None)
    assert "weights" not in full.provenance and half.provenance["weights"] == "Float16"
    assert full.space_id != half.space_id and full.model_digest != half.model_digest


@pytest.mark.programs
def test_8_bits_leave_weights_for_float16(tmp_path: Path) -> None:
    """A text's table of embeddings is no product: for MiniLM, two thirds of the bytes in 8 bits."""
    network = build_network(EncoderSpec(kind="CharCNN", dimension=32, width=16), (), seed=0)
    sizes = {}
    for name, fields in (("int8", {}), ("both", {"weights": Weights.FLOAT16})):
        (tmp_path / name).mkdir()
        spec = ExportSpec(int8=Int8Spec(min_top10_overlap="0.3"), **fields)
        done = export(network, texts(), tmp_path / name, spec)
        assert done.kind is ArtifactKind.INT8 and done.overlap is not None
        assert done.rounding is None
        encoder = opened(network, done, tmp_path / name)
        encoder.check_golden()
        sizes[name] = (tmp_path / name / MODEL_FILE).stat().st_size
    assert sizes["both"] < sizes["int8"]


def test_an_encoder_with_nothing_to_round_is_refused(tmp_path: Path) -> None:
    path = saved(a_model({"w": a_matrix() * np.float32(1e-6)}), tmp_path / "model.onnx")
    before = path.read_bytes()
    with pytest.raises(ExportError, match=r"256 numbers.*leave export\.weights out"):
        write_float16(path, path)
    assert path.read_bytes() == before


@pytest.mark.programs
def test_an_encoder_whose_embeddings_rounding_changes_is_refused(tmp_path: Path) -> None:
    """What its norm leaves of these weights is less than a step of float16."""
    network = build_network(EncoderSpec(kind="MLP", dimension=8, width=32), (48,), seed=0)
    with torch.no_grad():
        network.trunk[0].weight.mul_(0.1).add_(8)
    with pytest.raises(ExportError, match=r"least cosine.*at least 0\.99\b.*export\.weights out"):
        export(network, vectors(), tmp_path, ROUNDED)


def test_what_is_not_finite_is_near_nothing() -> None:
    embedded = np.eye(4, dtype=np.float32)
    assert compare_rounded(embedded, embedded).to_wire() == {
        "items": 4, "maxAbsolute": 0.0, "minCosine": 1.0, "top10Overlap": None,
    }  # fmt: skip
    with pytest.raises(ExportError):
        compare_rounded(np.full((4, 4), np.nan, dtype=np.float32), embedded)
