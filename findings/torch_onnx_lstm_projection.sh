#!/usr/bin/env bash
# torch 2.13.0, onnxruntime 1.32.0, onnx 1.23.2, onnxscript 0.7.2, on a CPU: an nn.LSTM with proj_size is written as ONNX that cannot be run.
#
# Expected: torch.onnx.export(dynamo=True) writes what gives the model's outputs, or says that it cannot.
# Observed: it writes a file without a word. ONNX's LSTM knows no projection: of one layer a run ends with "Input initial_c must
#           have shape {1,3,4}. Actual:{1,3,8}"; of two the file cannot be loaded ("All inputs to Concat must have same rank").
# Exits 0 while that is so, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
"$work/venv/bin/python" - "$work/lstm.onnx" <<'PY'
import sys

import onnxruntime
import torch
from torch import nn

x, failed = torch.randn(3, 5, 6), 0
for n_layers in (1, 2):
    model = nn.LSTM(6, 8, n_layers, batch_first=True, proj_size=4).eval()
    torch.onnx.export(model, (x,), dynamo=True, verbose=False).save(sys.argv[1])
    try:
        session = onnxruntime.InferenceSession(sys.argv[1])
        session.run(None, {session.get_inputs()[0].name: x.numpy()})
    except Exception as error:
        failed += 1
        print(n_layers, "layer(s):", str(error)[:160])
sys.exit(failed != 2)
PY
