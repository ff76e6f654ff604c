#!/usr/bin/env bash
# The float16 converter that ONNX Runtime ships (onnxruntime.transformers.float16) appends the Casts
# around the operators that are to stay in float32 to the end of the graph, behind their uses. What
# it returns is no valid ONNX: the checker of ONNX wants nodes in the order of their use. Without a
# block list it writes no Cast, and the graph is valid.
#
# Seen with onnxruntime 1.23.2 and onnx 1.19.1:
#   without a block list: valid   with one: Nodes in a graph must be topologically sorted
#
# Ends with 0 while this is so, and with 1 once it is otherwise. Needs python3 with venv, and the
# package registry.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  onnxruntime==1.23.2 onnx==1.19.1 sympy==1.14.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import copy
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

weights = numpy_helper.from_array(np.eye(8, dtype=np.float32), "weights")
nodes = [
    helper.make_node("MatMul", ["x", "weights"], ["hidden"], name="first"),
    helper.make_node("Relu", ["hidden"], ["y"], name="second"),
]
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 8]) for name in "xy")
model = helper.make_model(
    helper.make_graph(nodes, "graph", [x], [y], [weights]),
    opset_imports=[helper.make_opsetid("", 17)],
    ir_version=9,
)
onnx.checker.check_model(model)


def checked(**options):
    converted = convert_float_to_float16(copy.deepcopy(model), **options)
    try:
        onnx.checker.check_model(converted)
    except onnx.checker.ValidationError as error:
        return str(error).split(",")[0]
    return "valid"


plain, blocked = checked(), checked(op_block_list=["MatMul"])
print(f"without a block list: {plain}   with one: {blocked}")
if (plain, blocked) != ("valid", "Nodes in a graph must be topologically sorted"):
    sys.exit("this is no longer so")
PY
