"""Pruning × quantization: `python -m tests.benchmarks.bits [MODEL …] [--sparsities 0.8] [--samples N]`.

Every layer is cut, rounded to few bits, and both (`secateur bits`): is it the same layers that suffer, and do the two
drops add up? MODEL is a sample or a workload file, as tests/benchmarks/minilm.py.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

SECATEUR = str(Path(sys.executable).with_name("secateur"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["fashion-resnet"])
    parser.add_argument("--bits", default="8,4,3,2")
    parser.add_argument("--sparsities", default="0.8")
    parser.add_argument("--samples", default="1000")
    parser.add_argument("--layers", default="", help="regular expression, searched in the names of targets")
    recordable(parser)
    options = parser.parse_args()
    rows: list[list[Cell]] = []
    for name in options.models:
        with tempfile.TemporaryDirectory() as workspace:
            words = [SECATEUR, "bits", name, "--bits", options.bits, "--sparsities", options.sparsities]
            words += ["--samples", options.samples, "--layers", options.layers, "--workspace", workspace, "--json"]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        report: dict[str, Any] = json.loads(done.stdout)["report"]
        factor = 100 if report["scale"]["unit"] == "fraction" else 1
        for one in report["answers"]:
            mean = one["mean"] and {end: factor * one["mean"][end] for end in ("value", "low", "high")}
            alone, kept = f"{one['either']} of {one['n']}", f"{one['kept']} of {one['either']}"
            n = report["dense"]["n"]
            rows.append([report["workload"], n, one["sparsity"], one["bits"], one["spearman"], mean, alone, kept])
            print(rows[-1], flush=True)
    columns = (
        Column("model"), Column("examples"), Column("cut to", "", ".0%"), Column("bits"), Column("ρ", "", ".2f"),
        Column("both cost beyond the sum", "", "+.3g"), Column("layers that tolerate each alone"),
        Column("of these both at once"),
    )  # fmt: skip
    write_record(
        options,
        "Pruning and quantization",
        "Does a layer that tolerates pruning tolerate quantization, and do the two costs add up?",
        [Table(columns, rows)],
        "ρ is Spearman's correlation over the layers between the drops of cutting and of rounding; the mean "
        "interaction has its paired 95 % interval, in points of a fraction, and below 0 both together cost less.",
    )


if __name__ == "__main__":
    main()
