#!/usr/bin/env bash
# Torch-Pruning 1.6.1 with torch 2.13.0, on a CPU: it offers the units of an nn.LSTM with their reader, and can't take one out.
#
# Expected: a group of the LSTM's units and the columns of the layer that reads them, and after prune() an LSTM of 7 units
#           whose four gates lost one row each; or a refusal before anything is touched.
# Observed: the group is offered and named; prune() takes rows of the recurrent weights alone, without their other gates, then
#           again with the same positions, and ends in an IndexError. The layer is left with recurrent weights of another
#           shape than its hidden_size says.
# Exits 0 while that is so, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy
"$work/venv/bin/pip" install -q --no-deps torch-pruning==1.6.1
"$work/venv/bin/python" - <<'PY'
import sys

import torch
import torch_pruning
from torch import nn
from torch_pruning.pruner import function


class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(64, 8, batch_first=True), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


model = Last()
graph = torch_pruning.DependencyGraph().build_dependency(model, torch.randn(2, 3, 64))
group = graph.get_pruning_group(model.lstm, function.prune_lstm_out_channels, [0])
reads = any(part.dep.target.module is model.head for part in group)
error = None
try:
    group.prune()
except IndexError as found:
    error = found
shape = tuple(model.lstm.weight_hh_l0.shape)
print(f"group offered with its reader: {reads}; pruning ended with {type(error).__name__}: {error}")
print(f"hidden_size {model.lstm.hidden_size}, expected weight_hh_l0 (32, 8) or, cut, (28, 7); found {shape}")
sys.exit(not (reads and error is not None and shape not in ((32, 8), (28, 7))))
PY
