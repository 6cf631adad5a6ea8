"""Where plans pay, model by model: `python -m tests.benchmarks.pays_tables [models…] [--python NAME=PATH,…]`.

For each model `secateur plan --uniform 0.9` and `secateur plan --channels 0.5`, and of both `secateur pays`, by the
command line in WORKSPACE; what is there is not measured again. tests/benchmarks/minilm.py says what it needs.
"""

import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core.engines.adapters.needs import title_of
from core.jobs.runs import RunStore
from core.plans.plan import SparsityPlan
from core.profiling.pays.report import PaysReport, Row
from core.profiling.pays.request import ENGINE_NAMES
from core.workspace import Workspace
from tests.benchmarks.record import Cell, Column, Table, interval, recordable, write_record

MODELS = ("fashion-resnet", "fashion-vit", "tiny-gpt", "tests/benchmarks/minilm.py")
ZEROS, HALF = "90 % zeros", "half"
PLANS: Mapping[str, Sequence[str]] = {ZEROS: ("--uniform", "0.9"), HALF: ("--channels", "0.5", "--align", "1")}
# of each column the plan whose run has it, and the model of that run
TOLD = {
    ZEROS: (ZEROS, "masked"),
    "half of the channels": (HALF, "shrunk"),
    "int8": (ZEROS, "int8"),
    "int8, 90 % zeros": (ZEROS, "masked + int8"),
    "int8, half of the channels": (HALF, "shrunk + int8"),
}


def main() -> None:
    """Print two tables a model: times, and compressed bytes."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--engines", default=",".join(ENGINE_NAMES))
    parser.add_argument("--python", default="", help="interpreters of engines that have an environment of their own")
    parser.add_argument("--rounds", default="20")
    parser.add_argument("--seconds", default="15", help="of timing in one engine")
    parser.add_argument("--workspace", default="")
    recordable(parser)
    options = parser.parse_args()
    tables: list[Table] = []
    machines = set()
    with tempfile.TemporaryDirectory() as folder:
        place = options.workspace or folder
        for model in options.models:
            found = {
                name: _compared(model, words, Path(folder, "plan.json"), place, options)
                for name, words in PLANS.items()
            }
            machines |= {(report.machine.cpu, report.batch, report.threads) for report in found.values()}
            tables += _tables(Path(model).stem, found)
            for table in tables[-2:]:
                print(table.title)
                for row in table.rows:
                    print("  ", *(_text(cell) for cell in row), sep="  ", flush=True)
    write_record(
        options,
        f"Where plans pay: {', '.join(Path(model).stem for model in options.models)}",
        "What do 90 % zeros, half of the channels or neurons, and int8 bring in the engines that people ship to?",
        tables,
        "Times as fast as the same engine's dense float32 model, both of the same turn: the median with its 95 % "
        "interval; of Arm Ethos-U cycles by Vela's estimate, beside its dense int8 model: not measured, no interval.",
        (
            "One thread, a batch of one example.",
            "Heads and the width of the residual stream stay: half of the channels is half of the neurons of a "
            "transformer's MLPs.",
        ),
    )


def _compared(model: str, words: Sequence[str], file: Path, place: str, options: object) -> PaysReport:
    """What engines made of a plan; measured unless the workspace has it."""
    asked = vars(options)
    _secateur("plan", model, *words, "--out", str(file), "--workspace", place)
    python = ("--python", asked["python"]) if asked["python"] else ()
    rest = ("--engines", asked["engines"], "--rounds", asked["rounds"], "--seconds", asked["seconds"])
    _secateur("pays", model, str(file), *rest, *python, "--workspace", place)
    plan = SparsityPlan.read(file).fingerprint()
    file.unlink()
    runs = RunStore(Workspace(Path(place)))
    found = [
        report
        for run in runs.list("pays")  # the newest first
        if run.state == "finished" and run.result and run.result["plan"] == plan
        if Path(run.workload).stem == Path(model).stem
        if (report := runs.pays_report(run)) is not None
    ]
    # an engine that was measured again on its own counts by its newest rows
    newest = {name: next(r for r in found if any(row.engine == name for row in r.rows)) for name in _engines(found)}
    rows = [row for name in asked["engines"].split(",") for row in newest[name].rows if row.engine == name]
    return replace(found[-1], rows=tuple(rows))


def _engines(reports: Sequence[PaysReport]) -> dict[str, None]:
    return dict.fromkeys(row.engine for report in reports for row in report.rows)


def _secateur(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from core.cli import main; main()", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"secateur {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")


def _tables(model: str, found: Mapping[str, PaysReport]) -> list[Table]:
    rows = {(plan, row.engine, row.variant): row for plan, report in found.items() for row in report.rows}
    engines = dict.fromkeys(row.engine for report in found.values() for row in report.rows)
    times: list[list[Cell]] = []
    sizes: list[list[Cell]] = []
    for engine in engines:
        told = {name: rows[plan, engine, variant] for name, (plan, variant) in TOLD.items()}
        dense = rows[ZEROS, engine, "dense"]
        name = " ".join(filter(None, (title_of(engine), dense.version)))
        times.append([name, 1000 * dense.seconds if dense.seconds else _why(dense), *map(_time, told.values())])
        sizes.append([name, *(_size(row) for row in (dense, *told.values()))])
    plain = [Column("engine"), Column("dense", "ms", ".3f"), *(Column(name, "", ".2f") for name in TOLD)]
    held = [Column("engine"), *(Column(name, "kB", ".0f") for name in ("dense", *TOLD))]
    return [Table(plain, times, f"{model}, times as fast"), Table(held, sizes, f"{model}, compressed")]


def _time(row: Row) -> Cell:
    if row.ratio is not None:
        return interval(row.ratio)
    if row.estimated_ratio is not None:
        return f"≈ {row.estimated_ratio:.2f} fewer cycles"
    if row.estimated_cycles is not None:
        return "≈ what the others are compared with"
    return _why(row)


def _size(row: Row) -> Cell:
    return row.compressed / 1000 if row.compressed is not None else _why(row)


def _why(row: Row) -> str:
    return row.reason or (f"not run here: {row.not_run}" if row.not_run else "not timed")


def _text(cell: Cell) -> str:
    if isinstance(cell, dict):
        return f"{cell['value']:.2f} [{cell['low']:.2f}, {cell['high']:.2f}]"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


if __name__ == "__main__":
    main()
