#!/usr/bin/env bash
# onnxruntime 1.32.0 (CPU wheel, Linux): `quantize_static` per channel (QDQ, int8) and biases beside few or no weights.
#
# Expected: the output lies within a step of the float model's.
# Observed: 1. weights all zero: weight scale 1, so the int32 bias is a multiple of the input's scale: 0.4 becomes 0.
#           2. weights nearly zero: the bias is scaled to 2147268812 of 2147483647, and the sum overflows: 0.7 becomes -0.74.
#           3. ConvTranspose with groups: ValueError, shapes (8,) and (4,): scales are made for the channels of one group.
# Exits 0 while 1 and 2 are so, 1 when they are no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.2
cat >"$work/run.py" <<'PY'
import sys

import numpy as np, onnx, onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

rng = np.random.default_rng(0)


def held_and_lowest(value, bias, reach):
    weight = rng.uniform(-0.2, 0.2, (4, 4, 3, 3)).astype("float32")
    weight[1] = value
    biases = np.array([0.1, bias, 0.1, 0.1], "float32")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", 4, s, s]) for n, s in (("x", 6), ("y", 4)))
    held = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(biases, "b")]
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv")], "g", [x], [y], held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), f"{sys.argv[1]}/f.onnx")
    given = (reach * rng.random((16, 4, 6, 6))).astype("float32")

    class Reader:
        left = [{"x": given}]

        def get_next(self):
            return self.left.pop() if self.left else None

    quantize_static(f"{sys.argv[1]}/f.onnx", f"{sys.argv[1]}/q.onnx", Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QInt8, weight_type=QuantType.QInt8)
    held = {one.name: numpy_helper.to_array(one) for one in onnx.load(f"{sys.argv[1]}/q.onnx").graph.initializer}
    outs = [onnxruntime.InferenceSession(f"{sys.argv[1]}/{n}.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": given})[0]
            for n in "fq"]
    found = float(held["b_quantized"][1] * held["b_quantized_scale"][1])
    print(f"weights {value}: bias {bias} held as {held['b_quantized'][1]} = {found:.3f}; float {outs[0][0, 1, 0, 0]:.3f}, "
          f"int8 from {outs[1][:, 1].min():.3f} to {outs[1][:, 1].max():.3f}")
    return found, outs[1][:, 1].min()


lost = held_and_lowest(0.0, 0.4, 250)[0] == 0
wrapped = held_and_lowest(6.2e-7, 0.7, 10)[1] < 0
sys.exit(not (lost and wrapped))
PY
ORT_DISABLE_TELEMETRY=1 "$work/venv/bin/python" "$work/run.py" "$work" 2>/dev/null
