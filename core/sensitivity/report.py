"""What a sweep found, as plain values: what the dashboard draws and the command line prints. No torch."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from core.plans.plan import Cut
from core.workload.scale import Scale
from core.workload.target import Granularity

State = Literal["waiting", "measured", "no effect", "failed"]
Stage = Literal["full", "decided", "forecast", "early", "open"]
SETTLED: tuple[Stage, ...] = ("full", "decided", "forecast")  # of cells that want no more
Verdict = Literal["within", "beyond"]


@dataclass(frozen=True)
class Estimate:
    """A measured number with its 95 % interval. `n` is the number of examples behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class CellResult:
    """One square of the map: what one cut costs.

    Attributes:
        cut: what was cut.
        n_removed, n_weights: entries that the mask removes, of how many in the target.
        state: `"waiting"`: not measured yet. `"no effect"`: the outputs of every example stayed the same to the
            last bit, so the cut says nothing about robustness. `"failed"`: see `reason`.
        metric: of the cut model, with its own interval; `None` unless measured.
        drop: how much worse than dense on the same examples (paired), in the metric's unit; `None` unless measured.
        reason: why it failed or had no effect.
        stage: `"full"`: on all examples of the run. `"decided"`: on as many as it took to know the verdict, or an
            interval narrow enough. `"forecast"`: on some, and a forecast of the others knew it; its interval holds as
            far as the forecast does. `"early"`: on a few, for the answer did not need more. `"open"`: more are to come.
            The interval of a cell that is not full holds at every moment, and is wider for it; but see `foreseen`.
        verdict: whether all examples would say `"within"` or `"beyond"` of `tolerance`; `None` if nobody asked.
        evidence: key of its scores in the workspace.
        loss: how much the metric's loss rose on the same examples (paired), with its interval; `None` where the metric
            has no loss of its own, or it was not kept. It moves before any class changes, so small cuts are told apart.
        estimate: of what the cut costs, from gradients (`core.sensitivity.preview`), without a unit: it ranks the
            weight cells of a map, or its heads, higher = costs more. Kept when the drop is known. `None`: no preview.
        carried: share of all changes that three examples make, where so few carry the drop that its interval rests on
            them; `None` where they do not, or nobody looked.
        foreseen: `metric` and `drop` are a forecast of all examples, whatever the stage: their intervals hold as far as
            the forecast does.
    """

    cut: Cut
    n_removed: int
    n_weights: int
    state: State = "waiting"
    metric: Estimate | None = None
    drop: Estimate | None = None
    reason: str | None = None
    stage: Stage = "full"
    verdict: Verdict | None = None
    tolerance: float | None = None
    evidence: str | None = None
    estimate: float | None = None
    loss: Estimate | None = None
    carried: float | None = None
    foreseen: bool = False

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "CellResult":
        """Inverse of `to_json`."""
        measured = ("metric", "drop", "loss")
        estimates = {key: Estimate(**fields[key]) if fields.get(key) else None for key in measured}
        return cls(**{**fields, "cut": Cut(**fields["cut"]), **estimates})


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ, in [-1, 1], between the estimates and the measured drops of n cells."""

    rho: float
    n: int


@dataclass(frozen=True)
class SensitivityReport:
    """A run's map, finished or not.

    Attributes:
        run: identifier of the run.
        workload: name or path.
        scale: how to read the numbers.
        dense: the dense model's metric on the same examples; `None` before it is measured.
        cells: in network order, each target's sparsities ascending.
        n_calibration: examples behind the estimates; 0 without any.
        no_preview: why there are no estimates; `None` if there are, or nobody asked.
        n_examples: that the run was asked to measure a cell on, at most; 0 if nobody knows.
        n_damaged: measurements of one cut on one batch that were made again, because what was on disk was damaged.
    """

    run: str
    workload: str
    scale: Scale
    dense: Estimate | None
    cells: tuple[CellResult, ...]
    n_calibration: int = 0
    no_preview: str | None = None
    n_examples: int = 0
    n_damaged: int = 0

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values."""
        return {
            "run": self.run,
            "workload": self.workload,
            "metric": asdict(self.scale),
            "dense": asdict(self.dense) if self.dense else None,
            "cells": [cell.to_json() for cell in self.cells],
            "preview": {"n": self.n_calibration, "reason": self.no_preview},
        }

    def by_cut(self) -> dict[Cut, CellResult]:
        """Cells that say something of their cut: measured, without effect, or failed."""
        return {cell.cut: cell for cell in self.cells if cell.state != "waiting"}

    def rank_correlation(self, granularity: Granularity = "weight") -> RankCorrelation | None:
        """How well the estimates ranked what was measured: the weight cells, or the heads.

        `None` with fewer than 3 measured cells that have an estimate, or where all estimates or all drops are equal. A
        cell without effect is left out: its drop of 0 was not measured on anything.
        """
        pairs = [
            (cell.estimate, cell.drop.value)
            for cell in self.cells
            if cell.cut.granularity == granularity and cell.state == "measured"
            if cell.drop is not None and cell.estimate is not None
        ]
        if len(pairs) < 3:
            return None
        estimates, drops = zip(*pairs, strict=True)
        if len(set(estimates)) == 1 or len(set(drops)) == 1:
            return None
        return RankCorrelation(statistics.correlation(mid_ranks(estimates), mid_ranks(drops)), len(pairs))


def mid_ranks(values: Sequence[float]) -> list[float]:
    """Positions in ascending order from 1; equal values share the mean of theirs."""
    places: dict[float, list[int]] = {}
    for place, value in enumerate(sorted(values), start=1):
        places.setdefault(value, []).append(place)
    return [statistics.fmean(places[value]) for value in values]


def estimate_ranks(cells: Iterable[CellResult], granularity: Granularity) -> dict[Cut, int]:
    """Place of every cell that has an estimate, from 1, the one that should cost most; equal ones in the order given.

    Measured cells keep their place, so that no other cell's changes while a map fills.
    """
    estimated = [(cell.estimate, cell.cut) for cell in cells if cell.cut.granularity == granularity]
    known = [(estimate, cut) for estimate, cut in estimated if estimate is not None]
    ordered = sorted(known, key=lambda pair: -pair[0])
    return {cut: rank for rank, (_, cut) in enumerate(ordered, start=1)}


def default_tolerance(scale: Scale, dense: float) -> float:
    """A drop most people would accept: one point of a fraction, else a twentieth of the dense metric, to one digit."""
    return 0.01 if scale.unit == "fraction" else float(f"{abs(dense) / 20 or 0.05:.1g}")


def largest_within(
    cells: Iterable[CellResult], tolerance: float, granularity: Granularity = "weight"
) -> dict[str, float]:
    """Per target, the largest sparsity up to which every measured drop's interval stays within a tolerance.

    Where several criteria were measured, by the one that reaches farthest.

    From the lowest sparsity up: a cell that violates ends the search, so that a lucky one behind a bad one is not taken
    for safe. A cut of no effect counts neither way, nor does one that a search left early because the answer did not
    need it. A target without any such cell is absent.

    Args:
        cells: of any targets.
        tolerance: in the metric's unit.
        granularity: of the cells that are looked at; others are ignored.
    """
    found: dict[str, float] = {}
    ended: set[str] = set()  # curves
    chosen = [cell for cell in cells if cell.cut.granularity == granularity and cell.cut.sparsity is not None]
    for cell in sorted(chosen, key=lambda c: c.cut.sparsity or 0.0):
        if cell.cut.curve in ended or cell.state == "no effect":
            continue
        within = is_within(cell, tolerance)
        if within:
            found[cell.cut.target] = max(cell.cut.sparsity or 0.0, found.get(cell.cut.target, 0.0))
        elif within is False or cell.stage != "early":
            ended.add(cell.cut.curve)
    return found


def end_of_limit(cells: Iterable[CellResult], tolerance: float) -> CellResult | None:
    """The cell of one curve at which `largest_within` stops, which may be beyond; `None` where none does.

    Args:
        cells: of one target, one granularity and one criterion.
        tolerance: in the metric's unit.
    """
    for cell in sorted(cells, key=lambda c: c.cut.sparsity or 0.0):
        within = is_within(cell, tolerance)
        if cell.state != "no effect" and (within is False or (within is None and cell.stage != "early")):
            return cell
    return None


def is_beyond(cell: CellResult, tolerance: float) -> bool:
    """Whether a drop surely exceeds a tolerance: its whole interval does, or all examples were foreseen to say so.

    What cannot be cut is beyond any tolerance. Not the contrary of `is_within`: most cells of few examples are neither.
    """
    if cell.state == "failed":
        return True
    foreseen = cell.verdict == "beyond" and cell.tolerance is not None and cell.tolerance >= tolerance
    return foreseen or (cell.drop is not None and cell.drop.low > tolerance)


def interpolated(cells: Iterable[CellResult]) -> dict[Cut, float]:
    """Drops of cells that a search left early, on the line between the settled cells around them.

    No cut at all is a settled cell of drop 0. A cell above the highest settled one is absent: nothing is known there
    but what its own few examples say.
    """
    curves: dict[tuple[str, str | None], list[CellResult]] = {}
    for cell in cells:
        if cell.cut.sparsity is not None and cell.drop is not None:
            curves.setdefault((cell.cut.curve, cell.cut.criterion), []).append(cell)
    found: dict[Cut, float] = {}
    for curve in curves.values():
        settled = [(0.0, 0.0)]
        settled += [(c.cut.sparsity or 0.0, c.drop.value) for c in curve if c.stage in SETTLED and c.drop]
        settled.sort()
        for cell in curve:
            at = cell.cut.sparsity or 0.0
            if cell.stage == "early" and at < settled[-1][0]:
                (x0, y0), (x1, y1) = next(pair for pair in pairwise(settled) if pair[0][0] <= at <= pair[1][0])
                found[cell.cut] = y0 + (y1 - y0) * (at - x0) / (x1 - x0)
    return found


def is_within(cell: CellResult, tolerance: float) -> bool | None:
    """Whether all examples of the run put the upper end of the drop's interval within a tolerance.

    `None`: that is not known, for a search did not need to know it, or is not there yet.
    """
    if cell.state == "failed":
        return False
    if cell.drop is None:
        return None
    if cell.stage == "full":
        return cell.drop.high <= tolerance
    if cell.verdict is not None and cell.tolerance is not None:
        if cell.verdict == "within" and cell.tolerance <= tolerance:
            return True
        if cell.verdict == "beyond" and cell.tolerance >= tolerance:
            return False
    return True if cell.drop.high <= tolerance else False if cell.drop.low > tolerance else None
