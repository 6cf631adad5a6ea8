#!/usr/bin/env bash
# onnxruntime 1.32.0 (CPU wheel, Linux): running one model leaves an identifier of this device in the home folder.
#
# Expected: a session on the CPU reads the model and writes nothing.
# Observed: with neither CI nor ORT_DISABLE_TELEMETRY set, a folder ~/.cache/Microsoft appears, with a device id and a database
#           of events. ORT_DISABLE_TELEMETRY=1 in the environment before the import keeps it from being made.
# Exits 0 while that is so, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.2
cat >"$work/run.py" <<'PY'
import numpy as np, onnx, onnxruntime, sys, time
from onnx import TensorProto, helper
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
assert session.run(None, {"x": np.array([-1.0], "float32")})[0][0] == 0
time.sleep(2)
print("onnxruntime", onnxruntime.__version__)
PY
files() { # what a run leaves in a new home, with the given environment
    home=$(mktemp -d "$work/home.XXXX")
    env -i HOME="$home" TMPDIR="$home" PATH="$PATH" "$@" "$work/venv/bin/python" "$work/run.py" >&2
    (cd "$home" && find . -type f | sort)
}
plain=$(files)
silenced=$(files ORT_DISABLE_TELEMETRY=1)
printf 'left in a new home folder:\n%s\nleft with ORT_DISABLE_TELEMETRY=1:\n%s\n' "${plain:-nothing}" "${silenced:-nothing}"
grep -q Microsoft <<<"$plain" && [ -z "$silenced" ]
