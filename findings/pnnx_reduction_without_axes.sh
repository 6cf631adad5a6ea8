#!/usr/bin/env bash
# pnnx 20261020 and ncnn 1.0.20261020 (wheels, Linux): a mean over one dimension, read from ONNX.
#
# Expected: tokens (1, 5, 8), their mean over dimension 1: (1, 8).
# Observed: pnnx's own form still says dim=1, the .ncnn.param says `Reduction … -23303=0`, a list of no axes, and ncnn
#           reduces nothing: (1, 5, 8), without a word. Read from TorchScript the same mean is `-23303=1,0`.
# Exits 0 while it is so, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-deps pnnx==20261020 ncnn==1.0.20261020
"$work/venv/bin/pip" install -q onnx==1.23.2
cat >"$work/make.py" <<'PY'
import sys

import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper

x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 5, 8]), ("y", [1, 8])))
axes = numpy_helper.from_array(np.array([1], "int64"), "axes")
nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("ReduceMean", ["h", "axes"], ["y"], keepdims=0)]
graph = helper.make_graph(nodes, "g", [x], [y], [axes])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), f"{sys.argv[1]}/m.onnx")
PY
"$work/venv/bin/python" "$work/make.py" "$work"
pnnx=$("$work/venv/bin/python" -c "import importlib.util as u, pathlib as p; print(p.Path(u.find_spec('pnnx').origin).with_name('pnnx'))")
(cd "$work" && "$pnnx" m.onnx 'inputshape=[1,5,8]f32' fp16=0 >/dev/null 2>&1)
grep torch.mean "$work/m.pnnx.param" | grep -o 'dim=[^ ]*'
grep Reduction "$work/m.ncnn.param"
grep -q 'Reduction.* -23303=0' "$work/m.ncnn.param"
