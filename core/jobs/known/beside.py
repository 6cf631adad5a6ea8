"""Raw and repaired cells of one model, side by side. No torch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from core import numbers
from core.jobs.known.findings import Reports, known_cells, sweep_reports
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.plans.plan import Cut
from core.plans.repairs import repair_words
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.scale import Scale

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

    @property
    def is_better(self) -> bool:
        """Whether the repair surely helps: the intervals lie apart."""
        return self.repaired.high < self.raw.low

    @property
    def is_worse(self) -> bool:
        """Whether the repair surely makes worse."""
        return self.repaired.low > self.raw.high


@dataclass(frozen=True)
class Sides:
    """What is known of one cut without a repair and with one; `None` where it was not swept so."""

    raw: CellResult | None
    repaired: CellResult | None

    @property
    def pair(self) -> Beside | None:
        """Both drops; `None` where they cannot be compared, see `why_not`."""
        raw, repaired = _drop(self.raw), _drop(self.repaired)
        if self.raw is None or raw is None or repaired is None or raw.n != repaired.n:
            return None
        return Beside(self.raw.cut, raw, repaired)

    @property
    def differs_in_n(self) -> bool:
        """Whether both were measured, if only in part, but not on the same examples."""
        drops = [cell.drop for cell in (self.raw, self.repaired) if cell is not None and cell.drop is not None]
        return len({drop.n for drop in drops}) > 1

    @property
    def why_not(self) -> str | None:
        """Why the two are not compared; `None` where they are."""
        for cell, how in ((self.raw, "without a repair"), (self.repaired, "with the repair")):
            if cell is None or cell.state == "waiting":
                return f"not measured {how}"
            if cell.state == "failed":
                return f"failed {how}: {cell.reason}"
            if _drop(cell) is None:
                return f"{how} it is known on few examples so far, or a search left it early"
        raw, repaired = _drop(self.raw), _drop(self.repaired)
        if raw is None or repaired is None or raw.n == repaired.n:
            return None
        return f"raw on n = {raw.n:,}, repaired on n = {repaired.n:,}: other examples, so they are not compared"


def other_side(reports: Reports, cells: Iterable[CellResult]) -> dict[Cut, CellResult]:
    """What other sweeps say of the cuts of these cells: of each what was measured on as many examples, if anything was.

    Args:
        reports: of sweeps of one model that all have another repair than the cells, newest first.
        cells: of any states.
    """
    reports = list(reports)
    usual = known_cells(reports)
    begun = [report.by_cut() for _, report in reports]
    found: dict[Cut, CellResult] = {}
    for cell in cells:
        n = cell.drop.n if cell.drop else None
        alike = (other for known in begun if (other := known.get(cell.cut)) and (of := _drop(other)) and of.n == n)
        other = next(alike, None) or usual.get(cell.cut)
        if other is not None:
            found[cell.cut] = other
    return found


def sides_lines(scale: Scale, sides: Sides, repair: str) -> list[str]:
    """Both drops of a cut with their intervals and n, and what may be said of the two."""
    lines = []
    for cell, how in ((sides.raw, "raw"), (sides.repaired, repair_words(repair))):
        if cell is not None and cell.drop is not None:
            lines.append(f"{how}: drop {numbers.drop_with_interval(scale, cell.drop)}")
    pair = sides.pair
    if pair is None:
        return [*lines, f"{sides.why_not}"]
    back = pair.raw.value - pair.repaired.value
    amount = f"{numbers.drop_text(scale, abs(back)).lstrip('+')} {numbers.drop_unit(scale)}"
    if pair.is_worse:
        return [*lines, f"surely worse with the repair, by {amount}"]
    share = "" if pair.regained is None or back <= 0 else f", {numbers.share_text(pair.regained)} of the drop"
    sure = "" if pair.is_better else "; the two intervals overlap, so it is not sure"
    return [*lines, f"the repair {'gives back' if back >= 0 else 'costs'} {amount}{share}{sure}"]


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
    raw = other_side(sweep_reports(runs, described[0], read), report.cells)
    return pairs(Sides(raw.get(cell.cut), cell) for cell in report.cells)


def pairs(sides: Iterable[Sides]) -> tuple[Beside, ...]:
    """Those of which both drops are known on as many examples; that lose most when raw first."""
    found = [pair for one in sides if (pair := one.pair) is not None]
    return tuple(sorted(found, key=lambda one: -one.raw.value))


def _drop(cell: CellResult | None) -> Estimate | None:
    """What is known of a cell, unless a search left it early."""
    if cell is None or cell.state not in ("measured", "no effect") or cell.stage not in SETTLED:
        return None
    return cell.drop


def summary_text(rows: Sequence[Beside]) -> str:
    """How often the repair helps, and how much it gives back."""
    worse, better = sum(one.is_worse for one in rows), sum(one.is_better for one in rows)
    shares = [one.regained for one in rows if one.regained is not None]
    gives = f"; of a sure drop it gives back {numbers.share_text(median(shares))} (median)" if shares else ""
    return (
        f"Of {len(rows):,} cell(s) measured both ways the repair is surely better in {better:,}, surely worse in "
        f"{worse:,}{gives}."
    )
