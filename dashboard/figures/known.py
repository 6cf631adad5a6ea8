"""What is known of the cells of one map, and what is said of each where the mouse is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from core.plans import cut_words
from core.plans.plan import Cut
from core.sensitivity import sweep_words
from core.sensitivity.report import CellResult, SensitivityReport, estimate_ranks, interpolated
from dashboard.figures.grid import Grid


@dataclass(frozen=True)
class Known:
    """What the squares of one map need to know beside their own cell.

    Attributes:
        report: of the run.
        ranks: of the estimates, also of cells that a filter hides, and of how many.
        between: interpolated drops.
    """

    report: SensitivityReport
    ranks: Mapping[Cut, tuple[int, int]]
    between: Mapping[Cut, float]

    @classmethod
    def of(cls, report: SensitivityReport, grid: Grid) -> "Known":
        """Of the cells of a grid, all of which are in the report.

        Places are among the estimates of a granularity: an estimate has no unit to compare others by.
        """
        ranks: dict[Cut, tuple[int, int]] = {}
        for granularity in {cell.cut.granularity for cell in grid.cells.values()}:
            found = estimate_ranks(report.cells, granularity)
            ranks |= {cut: (rank, len(found)) for cut, rank in found.items()}
        return cls(report, ranks, interpolated(report.cells))

    def is_estimate(self, cell: CellResult | None) -> TypeGuard[CellResult]:
        """Whether all that is known of a cell is its place among the estimates."""
        return cell is not None and cell.state == "waiting" and cell.cut in self.ranks

    def hover(self, cell: CellResult | None) -> str:
        """What is said of a cell, in lines."""
        if cell is None:
            return ""
        cut = cell.cut
        of = "numbers" if cut.granularity == "channel" else "weights"  # scales and biases go with channels
        lines = [
            f"<b>{cut.target}</b>: {cut_words.what_goes_text(cut)} ({cell.n_removed:,} of {cell.n_weights:,} {of})"
        ]
        if cell.state == "no effect" or cell.state == "failed":
            lines.append(f"{cell.state}: {cell.reason}")
        elif cell.drop is not None:
            lines += sweep_words.evidence_lines(self.report, cell, self.between.get(cut))
        elif self.is_estimate(cell):
            lines.append(sweep_words.estimate_text(*self.ranks[cut], self.report.n_calibration))
        else:
            lines.append(cell.reason or "not measured yet")
        return "<br>".join(lines)
