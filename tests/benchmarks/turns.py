"""One sweep in a process of its own, by seconds of the processor and on the clock, for benchmarks of speed.

A neighbour at work bends the clock; the processor's seconds of one process, all its threads, he bends much less. Of two
builds the one is measured right after the other, round by round, by this same file: `python turns.py ASKED OUT` runs it
with the code of whatever checkout PYTHONPATH names, so that it imports only what older builds have too.
"""

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Told:
    """What one sweep took and found.

    Attributes:
        cpu: seconds of the processor of the process, all its threads.
        clock: seconds on the clock.
        first_map: on the clock, until every cell had been measured once; `None` if nobody knows.
        read: examples × cells that were measured; `None` of a build that keeps them otherwise.
        answers: of each target the largest sparsity within the tolerance, if any.
        uneven: targets with a sparsity within the tolerance above one beyond it, where every cell was measured.
    """

    cpu: float
    clock: float
    first_map: float | None
    read: int | None
    answers: dict[str, float]
    uneven: list[str]


def former_rows(checkout: Path, script: Path, words: Sequence[str], one_thread: bool = False) -> Any:
    """What a script writes as JSON to its last argument, run in a fresh process with the code of a checkout.

    Args:
        checkout: of the build; this one's is `ROOT`.
        script: a file of this folder.
        words: its arguments, before the last.
        one_thread: to an operation.
    """
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    if one_thread:
        environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, "-P", str(script.resolve()), *words, str(out)]
        subprocess.run(command, check=True, cwd=checkout, env=environment, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text(encoding="utf-8"))


def swept_by(checkout: Path, model: str, **request: Any) -> Told:
    """A sweep by a build; see `swept`."""
    asked = json.dumps({"model": model, **request})
    return Told(**former_rows(checkout, Path(__file__), [asked], one_thread=True))


def swept(model: str, tolerance: float | None = None, **request: Any) -> Told:
    """A sweep in a fresh workspace, after a small one that imports what sweeps import.

    Args:
        model: a sample, or a workload file.
        tolerance: of the answers; `None` for the usual one. An exact sweep isn't asked for it, and answers too.
        **request: more fields of `SweepRequest`; `rule` is left out where the build knows none.
    """
    from core import SweepRequest, sweep
    from core.jobs.runs import RunStore
    from core.sensitivity.report import default_tolerance, largest_within
    from core.workspace import Workspace

    if "rule" not in {one.name for one in fields(SweepRequest)}:
        request.pop("rule", None)
    if request.get("mode", "exact") != "exact":
        request["tolerance"] = tolerance
    with tempfile.TemporaryDirectory() as folder:
        sweep(model, workspace=folder, samples=20, sparsities=(0.5,), preview=False, replay=True)
    with tempfile.TemporaryDirectory() as folder:
        begun, cpu, clock = time.time(), time.process_time(), time.perf_counter()
        report = sweep(model, workspace=folder, preview=False, **request)
        cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
        (run,) = RunStore(Workspace(folder)).list()
        result = run.result or {}
        uneven: list[str] = []
        if result.get("answers"):
            answers = {target: one["sparsity"] for target, one in result["answers"].items() if one["sparsity"]}
        else:
            assert report.dense is not None
            usual = default_tolerance(report.scale, report.dense.value)
            within = usual if tolerance is None else tolerance
            answers = largest_within(report.cells, within)
            targets = dict.fromkeys(cell.cut.target for cell in report.cells)
            uneven = [target for target in targets if not rises(report.cells, target, within)]
        first = result.get("first_map")
        return Told(cpu, clock, first and first - begun, _read(folder, result), answers, uneven)


def _read(folder: str, result: dict[str, Any]) -> int | None:
    try:
        with sqlite3.connect(Path(folder) / "secateur.sqlite") as db:
            found = db.execute("SELECT sum(n) FROM evidence WHERE cell != ?", (result["dense_cell"],)).fetchone()
    except (sqlite3.Error, KeyError):
        return None
    return int(found[0])


def rises(cells: Iterable[Any], target: str, tolerance: float) -> bool:
    """Whether no cell of a target is within the tolerance above one that is beyond."""
    within = [c.drop.high <= tolerance for c in cells if c.cut.target == target and c.cut.sparsity and c.drop]
    return within == sorted(within, reverse=True)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and most of some rounds."""
    return statistics.median(values), min(values), max(values)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    Path(sys.argv[2]).write_text(json.dumps(asdict(swept(**asked))), encoding="utf-8")
