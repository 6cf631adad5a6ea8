#!/usr/bin/env bash
# torch 2.13.0, on a CPU: FlopCounterMode counts nothing of an nn.LSTM, and all of an nn.GRU of the same size.
#
# Expected: 2 · steps · batch · gates · hidden · (inputs + hidden) operations of either, 4 gates for the one and 3 for the other.
# Observed: the GRU's are counted to the last one, the LSTM's are 0: it runs as one fused operation (oneDNN's layer), for which
#           the counter has no formula, and says nothing. A model that is half LSTM looks half as expensive as it is.
# Exits 0 while that is so, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy
"$work/venv/bin/python" - <<'PY'
import sys

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

steps, batch, n_in, hidden = 10, 2, 32, 64
counted, expected = {}, {}
for kind, gates in ((nn.LSTM, 4), (nn.GRU, 3)):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        kind(n_in, hidden).eval()(torch.randn(steps, batch, n_in))
    counted[kind] = counter.get_total_flops()
    expected[kind] = 2 * steps * batch * gates * hidden * (n_in + hidden)
    print(f"{kind.__name__}: expected {expected[kind]:,}, counted {counted[kind]:,}")
sys.exit(not (counted[nn.LSTM] == 0 and counted[nn.GRU] == expected[nn.GRU]))
PY
