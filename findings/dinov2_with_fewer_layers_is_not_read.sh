#!/usr/bin/env bash
# transformers 5.24.0, torch 2.13.0: a Dinov2Model of fewer layers is saved without a word and cannot be loaded.
#
# Expected: as with BERT and ViT, layers are dropped, config.num_hidden_layers is set to what is left, and the folder that
#           save_pretrained writes is read by from_pretrained.
# Observed: the configuration also keeps names of stages for use as a backbone (out_features, "stage3"), of a model that is none
#           too. Saving writes them, loading makes the stages anew of the number of layers and raises a ValueError.
# Exits 0 while that is so, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.24.0
cd "$work"
"$work/venv/bin/python" - 2>/dev/null <<'PY'
import sys

from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel

size = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=16, patch_size=8)
found = {}
for kind, config, layers in ((ViTModel, ViTConfig, "layers"), (Dinov2Model, Dinov2Config, "encoder.layer")):
    model = kind(config(**size)).eval()
    parent, _, name = layers.rpartition(".")
    owner = model.get_submodule(parent)
    name = name if hasattr(owner, name) else "layer"
    owner = owner if hasattr(owner, name) else model.encoder
    setattr(owner, name, getattr(owner, name)[:2])
    model.config.num_hidden_layers = 2
    model.save_pretrained(kind.__name__)
    try:
        kind.from_pretrained(kind.__name__)
        found[kind] = "read again"
    except ValueError as error:
        found[kind] = f"ValueError: {error}"
    print(f"{kind.__name__}: {found[kind]}")
sys.exit(not (found[ViTModel] == "read again" and "stage_names" in found[Dinov2Model]))
PY
