#!/usr/bin/env bash
# onnxruntime 1.32.0, CPU: a convolution with one channel fewer is slower than the whole one.
#
# Expected: 63 of 64 channels take about as long as 64, at most.
# Observed: channels that are no multiple of 4 leave the blocked layout (NCHWc) and take clearly longer.
# Exits 0 while that is so by more than 10 %, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q onnxruntime==1.32.0 onnx==1.22.0 numpy
"$work/venv/bin/python" -I - <<'PY'
import sys, time
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

def session(width, depth=4, size=28):
    r, nodes, inits, last, n = np.random.default_rng(0), [], [], "x", 3
    for i in range(depth):
        inits.append(numpy_helper.from_array(r.standard_normal((width, n, 3, 3), dtype=np.float32), f"w{i}"))
        nodes.append(helper.make_node("Conv", [last, f"w{i}"], [f"c{i}"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        last, n = f"r{i}", width
    shape = lambda c: [1, c, size, size]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape(3))],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, shape(width))], inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

widths, x = (64, 63, 60), np.ones((1, 3, 28, 28), np.float32)
sessions, best = {w: session(w) for w in widths}, dict.fromkeys(widths, 9.0)
for _ in range(200):  # in turns, so that what else the machine does meets all
    for w, one in sessions.items():
        begun = time.perf_counter()
        one.run(None, {"x": x})
        best[w] = min(best[w], time.perf_counter() - begun)
for w in widths:
    print(f"{w} channels: {1000 * best[w]:.3f} ms, {best[w] / best[64]:.2f} of 64's")
sys.exit(0 if best[63] > 1.1 * best[64] else 1)
PY
