"""What stands in a cell beside its colour: which mark, what it means, and how strong the colour is."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeGuard

from core.plans.plan import Cut
from core.sensitivity import sweep_words
from core.sensitivity.maps.layout import Grid
from core.sensitivity.report import CellResult, SensitivityReport, estimate_ranks, interpolated

Mark = Literal["undecided", "no effect", "failed", "between", "few", "forecast", "estimate", "waiting"]
MARKS: Mapping[str, str] = MappingProxyType(
    {
        "undecided": "·", "no effect": "▨", "failed": "✕", "between": "╱", "few": "◦", "forecast": "≈", "estimate": "?",
        "waiting": "□", "planned": "◥", "worse": "◢", "other n": "≠",
        "not compared": "–",
    }
)  # fmt: skip
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "undecided": "no change that the data can tell: the 95 % interval holds 0",
        "no effect": "no effect: no output changed",
        "failed": "cannot be cut so; pointed at, it says why",
        "between": "interpolated between measured sparsities",
        "few": "on few examples: the answer did not need more",
        "forecast": "some examples, and a forecast of the others",
        "estimate": "estimate, not measured: the stronger the grey, the more it should cost",
        "waiting": "not measured yet",
        "planned": "in the plan",
        "worse": "surely worse with the repair: the two intervals lie apart",
        "other n": "raw and repaired on different numbers of examples: not compared",
        "not compared": "not compared; pointed at, it says why",
    }
)


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

    def grey(self, cell: CellResult) -> float | None:
        """How much a cell that was only estimated should cost, 0 to 1 by rank; `None` of any other."""
        if not self.is_estimate(cell):
            return None
        rank, of = self.ranks[cell.cut]
        return 1 - (rank - 1) / max(1, of - 1)

    def drop(self, cell: CellResult) -> float | None:
        """The drop that colours a cell, interpolated where its own few examples say less; `None` for no colour.

        No effect is uncoloured: the calm colour would call a layer robust that may not be used at all.
        """
        if cell.drop is None or cell.state != "measured":
            return None
        return self.between.get(cell.cut, cell.drop.value)

    def mark(self, cell: CellResult) -> Mark | None:
        """What stands in the cell; nothing in one that is measured and decided."""
        if cell.state in ("no effect", "failed"):
            return "no effect" if cell.state == "no effect" else "failed"
        if cell.drop is None:
            return "estimate" if self.is_estimate(cell) else "waiting"
        if cell.cut in self.between:
            return "between"
        if cell.stage == "early":
            return "few"
        if cell.stage == "forecast":
            return "forecast"
        return "undecided" if holds_zero(cell) else None

    def lines(self, cell: CellResult) -> list[str]:
        """What is said of a cell, a thought a line, without what was cut."""
        if cell.state in ("no effect", "failed"):
            return [f"{'cannot be cut so' if cell.state == 'failed' else 'no effect'}: {cell.reason}"]
        if cell.drop is not None:
            return sweep_words.evidence_lines(self.report, cell, self.between.get(cell.cut))
        if self.is_estimate(cell):
            return [sweep_words.estimate_text(*self.ranks[cell.cut], self.report.n_calibration)]
        return [cell.reason or "not measured yet"]


def holds_zero(cell: CellResult) -> bool:
    """Whether the interval of a measured drop holds 0, so that no change can be told."""
    return cell.drop is not None and cell.drop.low <= 0 <= cell.drop.high


def is_pale(cell: CellResult) -> bool:
    """Whether little is known of a measured cell, so that its colour must not shout."""
    return cell.stage == "early" or holds_zero(cell)
