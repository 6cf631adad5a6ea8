#!/usr/bin/env bash
# transformers 5.24.0: a model that can generate is another object in every process, weights and settings being the same.
#
# Expected: the attributes of model.generation_config are settings, the same each time a folder is loaded.
# Observed: generation_config._original_object_hash is Python's hash() of its JSON text, which is salted anew in every process
#           (PYTHONHASHSEED), so whoever compares, hashes or caches a loaded model by its attributes finds another one.
# Exits 0 while that is so, 1 when it is no more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q transformers==5.24.0
cat >"$work/run.py" <<'PY'
from transformers import GenerationConfig
config = GenerationConfig.from_pretrained(".", local_files_only=True)
print(vars(config).get("_original_object_hash"))
PY
echo '{"max_length": 20}' >"$work/generation_config.json"
cd "$work"
one=$(PYTHONHASHSEED=1 "$work/venv/bin/python" run.py)
other=$(PYTHONHASHSEED=2 "$work/venv/bin/python" run.py)
printf 'in one process: %s\nin another:     %s\n' "$one" "$other"
[ "$one" != "$other" ]
