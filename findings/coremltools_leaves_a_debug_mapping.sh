#!/usr/bin/env bash
# coremltools 9.0 with torch 2.13.0: a package that is saved of an exported program holds a file of ExecuTorch's debugger.
#
# Expected: `MLModel.save` writes what its Manifest.json lists: the model and its weights.
# Observed: beside them lies executorch_debug_handle_mapping.json, a table of graph nodes, whoever asked: of a CNN of 22 weights
#           31 kB, as much as the model itself. The manifest does not list it; without it coremltools reads the package alike.
# Exits 0 while that is so, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy
"$work/venv/bin/pip" install -q coremltools==9.0 torch==2.13.0
"$work/venv/bin/python" -I - "$work" 2>"$work/said" <<'PY' || { cat "$work/said"; exit 1; }
import json, pathlib, sys
import coremltools as ct
import torch

model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()).eval()
program = torch.export.export(model, (torch.randn(1, 8),)).run_decompositions({})
package = pathlib.Path(sys.argv[1], "m.mlpackage")
ct.convert(program, convert_to="mlprogram", skip_model_load=True).save(str(package))
listed = [one["path"] for one in json.loads((package / "Manifest.json").read_text())["itemInfoEntries"].values()]
extra = package / "executorch_debug_handle_mapping.json"
print("listed:", sorted(listed), "beside them:", [path.name for path in package.iterdir() if path.suffix == ".json"])
there = extra.exists() and not any("executorch" in path for path in listed)
extra.unlink(missing_ok=True)
assert ct.models.MLModel(str(package), skip_model_load=True).get_spec().description.input
sys.exit(0 if there else 1)
PY
