"""How well gradients rank the measured cells of each sample, and what they cost: `python -m tests.benchmarks.preview`.

Names of samples may follow. The cost is compared with the two passes that the dense model gets in every sweep anyway
and with the whole sweep, timed in the same run; the ranks of sparsity alone are what any estimate has to beat.
"""

import argparse
import tempfile
import time
from dataclasses import replace

from core import SensitivityReport, load_workload, sweep
from core.pruning.masks import MaskMaker
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.preview import preview
from core.workload.discovery import find_targets
from core.workload.loading import sample_names
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record


def rho(report: SensitivityReport, granularity: str) -> str:
    """Spearman's rank correlation with the measured drops, and on how many cells."""
    found = report.rank_correlation(granularity)
    return f"{found.rho:.3f} ({found.n})" if found else "–"


def sure(report: SensitivityReport) -> SensitivityReport:
    """Of its cells those whose interval leaves out 0: the others are ranked by noise."""
    cells = [cell for cell in report.cells if cell.drop and not cell.drop.low <= 0 <= cell.drop.high]
    return replace(report, cells=tuple(cells))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", nargs="*", default=sample_names())
    recordable(parser)
    options = parser.parse_args()
    rows: list[list[Cell]] = []
    titles = ("sample", "weights, rho (n)", "by sparsity", "heads, rho (n)", "preview, s", "dense, s", "sweep, s")
    print("".join(f"{title:>18}" for title in titles))
    for name in options.samples:
        workload = load_workload(name)
        with tempfile.TemporaryDirectory() as workspace:
            start = time.perf_counter()
            report = sweep(workload, workspace=workspace, preview=False)
            swept = time.perf_counter() - start
        start = time.perf_counter()
        with Measurement(workload, None) as measurement:
            measurement.dense()
        dense = time.perf_counter() - start
        start = time.perf_counter()
        maker = MaskMaker(workload.model, find_targets(workload.model)[0])
        found = preview(workload, maker, [cell.cut for cell in report.cells])
        took = time.perf_counter() - start
        estimated = replace(report, cells=tuple(replace(c, estimate=found.estimates.get(c.cut)) for c in report.cells))
        naive = replace(report, cells=tuple(replace(c, estimate=c.cut.sparsity) for c in report.cells))
        texts = (name, rho(estimated, "weight"), rho(naive, "weight"), rho(estimated, "head"))
        without_noise = rho(sure(estimated), "weight"), rho(sure(naive), "weight")
        print(f"    over cells whose interval leaves out 0: {without_noise[0]}, by sparsity {without_noise[1]}")
        print("".join(f"{text:>18}" for text in (*texts, f"{took:.2f}", f"{dense:.2f}", f"{swept:.1f}")), flush=True)
        rows.append([*texts, *without_noise, took, took / dense, took / swept])
    columns = (
        Column("sample"), Column("weights, ρ (cells)"), Column("by sparsity alone, ρ (cells)"),
        Column("heads, ρ (cells)"), Column("weights without 0 in their interval"), Column("these by sparsity alone"),
        Column("preview", "s", ".2f"),
        Column("of the dense passes", "times", ".2f"), Column("of the sweep", "", ".1%"),
    )  # fmt: skip
    write_record(
        options, "Gradients and measured drops",
        "How well do gradients rank the cells before anything is measured, and what do they cost?",
        [Table(columns, rows)],
        "Spearman's correlation of the estimate with the measured drop; what an estimate has to beat is the rank by "
        "sparsity alone.",
        ["The kind of estimate was chosen on these samples, so expect less elsewhere."],
    )  # fmt: skip


if __name__ == "__main__":
    main()
