"""A quantised graph: what it computes, in which company, and when it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from lockstep_core.encoding import INPUT_NAME, OUTPUT_NAME
from lockstep_trainer.artifact.int8_graph import WEIGHT_LEVELS, quantised_graph
from lockstep_trainer.artifact.quantisation import write_int8
from lockstep_trainer.networks.onnx_graph import ExportError, run_onnx

pytestmark = pytest.mark.unit

WIDTH, OUT = 24, 6


def a_model(*, gemm: bool = False, layers: int = 1) -> onnx.ModelProto:
    """`layers` products of [B, 24] with constant matrices; the last gives [B, 6]."""
    random = np.random.default_rng(0)
    nodes, weights, source = [], [], INPUT_NAME
    for layer in range(layers):
        last = layer == layers - 1
        matrix = random.normal(size=(WIDTH, OUT if last else WIDTH)).astype(np.float32)
        target = OUTPUT_NAME if last else f"hidden{layer}"
        names = [source, f"w{layer}", f"b{layer}"]
        weights.append(numpy_helper.from_array(matrix.T.copy() if gemm else matrix, f"w{layer}"))
        if gemm:
            weights.append(numpy_helper.from_array(matrix[0].copy(), f"b{layer}"))
            nodes.append(helper.make_node("Gemm", names, [target], transB=1))
        else:
            nodes.append(helper.make_node("MatMul", names[:2], [target]))
        source = target
    tensors = [(INPUT_NAME, WIDTH), (OUTPUT_NAME, OUT)]
    described = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
        for name, width in tensors
    ]
    graph = helper.make_graph(nodes, "net", described[:1], described[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def written(model: onnx.ModelProto, folder: Path) -> Path:
    (folder / "full.onnx").write_bytes(model.SerializeToString())
    write_int8(folder / "full.onnx", folder / "small.onnx")
    return folder / "small.onnx"


@pytest.mark.parametrize("gemm", [False, True], ids=["MatMul", "Gemm"])
def test_a_product_is_that_of_rounded_rows_and_columns(gemm: bool, tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(70, WIDTH)).astype(np.float32)
    rows[3] *= 1000
    rows[4] = 0
    model = a_model(gemm=gemm)
    (wanted,) = ReferenceEvaluator(model).run(None, {INPUT_NAME: rows})
    small = written(model, tmp_path)
    found = run_onnx(small, rows)
    scale = np.abs(rows).max(axis=1, keepdims=True).clip(1e-30) / 127
    matrix = numpy_helper.to_array(model.graph.initializer[0])
    matrix = matrix.T if gemm else matrix
    columns = np.abs(matrix).max(axis=0) / WEIGHT_LEVELS
    whole = np.rint(rows / scale) @ np.rint(matrix / columns)
    exact = whole * scale * columns
    if gemm:
        exact = exact + numpy_helper.to_array(model.graph.initializer[1])
    # A tie that is rounded the other way is one step of a weight; most differ by nothing.
    assert np.abs(found - exact).max() <= 1.01 * (scale * np.abs(matrix).max()).max()
    assert np.median(np.abs(found - exact)) < 1e-5
    assert np.abs(found[4] - wanted[4]).max() < 1e-6
    relative = np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1).clip(1e-9)
    assert relative.max() < 0.06


def test_no_item_changes_another_that_it_shares_a_batch_with(tmp_path: Path) -> None:
    """One scale over the whole input let a large item coarsen all others."""
    rows = np.random.default_rng(2).normal(size=(64, WIDTH)).astype(np.float32)
    rows[0] *= 1e4
    small = written(a_model(layers=3), tmp_path)
    alone = np.concatenate([run_onnx(small, rows[at : at + 1]) for at in range(len(rows))])
    assert (run_onnx(small, rows) == alone).all()


def test_weights_have_7_bits_and_an_input_is_rounded_once() -> None:
    model = a_model()
    again = helper.make_node("MatMul", [INPUT_NAME, "w0"], ["other"])
    model.graph.node.append(again)
    assert quantised_graph(model) == 2
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") == 1 and kinds.count("MatMulInteger") == 2
    weights = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    assert "w0" not in weights
    eight = [each for name, each in weights.items() if name.endswith(".weight")]
    assert all(each.dtype == np.int8 and np.abs(each).max() == WEIGHT_LEVELS for each in eight)
    # Two of the greatest products, as an instruction without VNNI adds them.
    assert 2 * 255 * WEIGHT_LEVELS < 2**15


def test_a_graph_without_such_products_is_refused(tmp_path: Path) -> None:
    model = a_model()
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.append(helper.make_node("Identity", [INPUT_NAME], [OUTPUT_NAME]))
    with pytest.raises(ExportError, match=r"this encoder has none: leave export\.int8 out"):
        written(model, tmp_path)
