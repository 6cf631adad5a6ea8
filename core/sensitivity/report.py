"""What a sweep found, as plain values: what the dashboard draws and the command line prints. No torch."""

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
    """

    cut: Cut
    n_removed: int
    n_weights: int
    state: State = "waiting"
    metric: Estimate | None = None
    drop: Estimate | None = None
    reason: str | None = None

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
