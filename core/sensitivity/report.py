"""What a sweep found, as plain values: what the dashboard draws and the command line prints. No torch."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from core.plans.plan import Cut
from core.workload.scale import Scale

State = Literal["waiting", "measured", "no effect", "failed"]


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
        evidence: key of its scores in the workspace; `None` where it was not kept.
    """

    cut: Cut
    n_removed: int
    n_weights: int
    state: State = "waiting"
    metric: Estimate | None = None
    drop: Estimate | None = None
    reason: str | None = None
    evidence: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "CellResult":
        """Inverse of `to_json`."""
        estimates = {key: Estimate(**fields[key]) if fields[key] else None for key in ("metric", "drop")}
        return cls(**{**fields, "cut": Cut(**fields["cut"]), **estimates})


@dataclass(frozen=True)
class SensitivityReport:
    """A run's map, finished or not.

    Attributes:
        run: identifier of the run.
        workload: name or path.
        scale: how to read the numbers.
        dense: the dense model's metric on the same examples; `None` before it is measured.
        cells: in network order, each target's sparsities ascending.
    """

    run: str
    workload: str
    scale: Scale
    dense: Estimate | None
    cells: tuple[CellResult, ...]

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values."""
        return {
            "run": self.run,
            "workload": self.workload,
            "metric": asdict(self.scale),
            "dense": asdict(self.dense) if self.dense else None,
            "cells": [cell.to_json() for cell in self.cells],
        }

    def by_cut(self) -> dict[Cut, CellResult]:
        """Cells that say something of their cut: measured, without effect, or failed."""
        return {cell.cut: cell for cell in self.cells if cell.state != "waiting"}


def default_tolerance(scale: Scale, dense: float) -> float:
    """A drop most people would accept: one point of a fraction, else a twentieth of the dense metric, to one digit."""
    return 0.01 if scale.unit == "fraction" else float(f"{abs(dense) / 20 or 0.05:.1g}")


def largest_within(cells: Iterable[CellResult], tolerance: float) -> dict[str, float]:
    """Per target, the largest sparsity up to which every measured drop's interval stays within a tolerance.

    Measured cells only, from the lowest sparsity up: one that violates ends the search, so that a lucky cell behind a
    bad one is not taken for safe. A cut of no effect counts neither way. A target without any such cell is absent.

    Args:
        cells: of weight targets; others are ignored.
        tolerance: in the metric's unit.
    """
    found: dict[str, float] = {}
    ended: set[str] = set()
    for cell in sorted((c for c in cells if c.cut.sparsity is not None), key=lambda c: c.cut.sparsity or 0.0):
        if cell.cut.target in ended or cell.state == "no effect":
            continue
        if cell.drop is None or cell.drop.high > tolerance:
            ended.add(cell.cut.target)
        else:
            found[cell.cut.target] = cell.cut.sparsity or 0.0
    return found
