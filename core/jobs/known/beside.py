"""Raw and repaired cells of one model, side by side. No torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from core import numbers
from core.jobs.known.findings import known_cells, sweep_reports
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.plans.plan import Cut
from core.sensitivity.report import CellResult, Estimate, SensitivityReport

SETTLED = ("full", "decided")
N_ROWS = 20  # that say most; `--json` of both runs has all


@dataclass(frozen=True)
class Beside:
    """The drops of one cut, in the metric's unit.

    Attributes:
        cut: of both.
        raw, repaired: drops from dense, each with its interval and number of examples.
    """

    cut: Cut
    raw: Estimate
    repaired: Estimate

    @property
    def regained(self) -> float | None:
        """Share of the raw drop that the repair gives back, negative where it makes worse; `None` of no sure drop."""
        return 1 - self.repaired.value / self.raw.value if self.raw.low > 0 else None


def beside_raw(
    runs: RunStore, run: Run, report: SensitivityReport, read: Callable[[Run], SensitivityReport | None] | None = None
) -> tuple[Beside, ...]:
    """Cells of a repaired sweep that a raw sweep of the same model measured as well, on as many examples.

    Args:
        runs: of the workspace.
        run, report: of the repaired sweep; of a raw one there is nothing.
        read: reads a run's report; for one who remembers them.

    Returns:
        Those that lose most when raw first.
    """
    described = runs.description(run.workload)
    if not run.request.get("repair") or described is None or not run.result:
        return ()
    if run.result.get("model") != described[0].fingerprint:
        return ()
    raw = known_cells(sweep_reports(runs, described[0], read))
    found = []
    for cell in report.cells:
        other = raw.get(cell.cut)
        if other is not None and (ours := _drop(cell)) and (theirs := _drop(other)) and ours.n == theirs.n:
            found.append(Beside(cell.cut, theirs, ours))
    return tuple(sorted(found, key=lambda one: -one.raw.value))


def _drop(cell: CellResult) -> Estimate | None:
    """What is known of a cell, unless a search left it early."""
    return cell.drop if cell.state in ("measured", "no effect") and cell.stage in SETTLED else None


def summary_text(rows: Sequence[Beside]) -> str:
    """How often the repair helps, and how much it gives back."""
    worse = sum(one.repaired.low > one.raw.high for one in rows)
    better = sum(one.repaired.high < one.raw.low for one in rows)
    shares = [one.regained for one in rows if one.regained is not None]
    gives = f"; of a sure drop it gives back {numbers.share_text(median(shares))} (median)" if shares else ""
    return (
        f"Of {len(rows):,} cell(s) measured both ways the repair is surely better in {better:,}, surely worse in "
        f"{worse:,}{gives}."
    )
