"""Products with constant weights in 8 bits, with a scale for each row of the activations.

A row is what one token, or one item, brings into a product. Its scale depends on nothing else, so
items of a batch do not change one another (with one scale over the whole input they did: on MiniLM
by up to 0.03 of a coordinate), and one large activation coarsens its own row alone.

Activations are unsigned with a zero point of 128: signed ones are several times slower on x86.
Weights keep 7 of the 8 bits: without VNNI, sums of two full products saturate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

PREFIX = "int8"
LEVELS = 127
WEIGHT_LEVELS = 64
TINY = 1e-30
"""The least of the largest magnitudes of a row: a row of zeros keeps its zeros."""

CONSTANTS: Mapping[str, NDArray[Any]] = {
    f"{PREFIX}.last": np.array([-1], np.int64),
    f"{PREFIX}.levels": np.array(LEVELS, np.float32),
    f"{PREFIX}.one": np.array(1, np.float32),
    f"{PREFIX}.tiny": np.array(TINY, np.float32),
    f"{PREFIX}.zero": np.array(128, np.uint8),
}


@dataclass
class _Rewrite:
    """The nodes of the new graph, in order; its new constants; inputs that are in 8 bits by now."""

    weights: Mapping[str, onnx.TensorProto]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=lambda: dict(CONSTANTS))
    done: set[str] = field(default_factory=set)

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output


def quantised_graph(model: onnx.ModelProto) -> int:
    """Rewrites `model` in place; returns how many products are in 8 bits now."""
    graph = model.graph
    rewrite = _Rewrite({each.name: each for each in graph.initializer})
    count = 0
    for node in graph.node:
        if _is_product(node, rewrite.weights):
            _product(rewrite, node)
            count += 1
        else:
            rewrite.nodes.append(node)
    if not count:
        return 0
    used = {name for node in rewrite.nodes for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    kept += [numpy_helper.from_array(array, name) for name, array in rewrite.constants.items()]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(rewrite.nodes)
    graph.initializer.extend(kept)
    return count


def _is_product(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    """A MatMul or a plain Gemm whose second factor is a constant matrix of float32."""
    if node.op_type not in ("MatMul", "Gemm") or (weight := weights.get(node.input[1])) is None:
        return False
    plain = all(
        value == (0 if name == "transA" else 1)
        for name, value in _attributes(node).items()
        if name != "transB"
    )
    return plain and len(weight.dims) == 2 and weight.data_type == TensorProto.FLOAT


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _product(rewrite: _Rewrite, node: onnx.NodeProto) -> None:
    """The product of `node`: whole numbers, then the scales of its columns and of its rows."""
    source, weight, output = node.input[0], node.input[1], node.output[0]
    rows = _in_8_bits(rewrite, source)
    name = f"{PREFIX}.{output}.product"
    matrix = numpy_helper.to_array(rewrite.weights[weight])
    if _attributes(node).get("transB", 0):
        matrix = matrix.T
    scale = np.maximum(np.abs(matrix).max(axis=0), np.float32(TINY)) / np.float32(WEIGHT_LEVELS)
    rewrite.constants[f"{name}.weight"] = np.rint(matrix / scale).astype(np.int8)
    rewrite.constants[f"{name}.columns"] = scale.astype(np.float32)
    factors = [f"{rows}.whole", f"{name}.weight", f"{PREFIX}.zero"]
    whole = rewrite.add("MatMulInteger", factors, f"{name}.whole")
    real = rewrite.add("Cast", [whole], f"{name}.real", to=TensorProto.FLOAT)
    scaled = rewrite.add("Mul", [real, f"{name}.columns"], f"{name}.scaled")
    bias = node.input[2] if len(node.input) > 2 else ""
    product = rewrite.add("Mul", [scaled, f"{rows}.scale"], f"{name}.sum" if bias else output)
    if bias:
        rewrite.add("Add", [product, bias], output)


def _in_8_bits(rewrite: _Rewrite, source: str) -> str:
    """`{name}.whole`, uint8 as `source`, and `{name}.scale`, one of each row; returns the name.

    Queries, keys and values read one input: it is made once.
    """
    name = f"{PREFIX}.{source}"
    if source in rewrite.done:
        return name
    rewrite.done.add(source)
    last = f"{PREFIX}.last"
    high = rewrite.add("ReduceMax", [source, last], f"{name}.high", keepdims=1)
    low = rewrite.add("ReduceMin", [source, last], f"{name}.low", keepdims=1)
    negated = rewrite.add("Neg", [low], f"{name}.negated")
    most = rewrite.add("Max", [high, negated, f"{PREFIX}.tiny"], f"{name}.most")
    rewrite.add("Div", [most, f"{PREFIX}.levels"], f"{name}.scale")
    inverse = rewrite.add("Div", [f"{PREFIX}.levels", most], f"{name}.inverse")
    scaled = rewrite.add("Mul", [source, inverse], f"{name}.scaled")
    ends = [scaled, f"{PREFIX}.one", f"{PREFIX}.zero"]
    rewrite.add("QuantizeLinear", ends, f"{name}.whole")
    return name
