"""What quantization costs each target, alone and together with pruning, as plain values. No torch.

Does a layer that tolerates one tolerate both? Each target is cut to a sparsity, quantized, and both; what both cost
beyond the sum of the two alone is their interaction, paired over the examples as that of two cuts
(`core.sensitivity.pairs`).
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from core.sensitivity.pairs import BY_CHANCE
from core.sensitivity.report import Estimate, State, mid_ranks
from core.shown import Shown
from core.workload.scale import Scale

Verdict = Literal["tolerated", "too much", "undecided"]


@dataclass(frozen=True)
class QuantizedCell:
    """One target, cut or quantized or both, and all else as it was.

    Attributes:
        target: name of a weight target.
        sparsity: to which it was cut first; `None` where it was not.
        bits: to which it was quantized; `None` where it was not. One of the two is given.
        n_weights: entries of the target.
        state, reason: as in `CellResult`; what both do is of no effect where one of the two has none.
        metric, drop: in the unit of the metric; `None` unless measured or without effect.
        interaction: of both, in the report's `scale`: the drop beyond the sum of the two alone. Above 0 they cost more.
    """

    target: str
    sparsity: float | None
    bits: int | None
    n_weights: int
    state: State = "waiting"
    metric: Estimate | None = None
    drop: Estimate | None = None
    interaction: Estimate | None = None
    reason: str | None = None

    @property
    def is_sure(self) -> bool:
        """Whether the interval of the interaction leaves out 0."""
        return self.interaction is not None and not self.interaction.low <= 0 <= self.interaction.high

    def verdict(self, tolerance: float) -> Verdict | None:
        """Whether the interval of the drop lies within a tolerance; `None` where nothing was measured."""
        if self.drop is None or self.state != "measured":
            return None
        if self.drop.high <= tolerance:
            return "tolerated"
        return "too much" if self.drop.low > tolerance else "undecided"

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "QuantizedCell":
        """Inverse of `to_json`."""
        known = {name: Estimate(**fields[name]) if fields[name] else None for name in ("metric", "drop", "interaction")}
        return cls(**{**fields, **known})


@dataclass(frozen=True)
class JointAnswer:
    """Of one sparsity and one number of bits: does a target that tolerates one tolerate both?

    Attributes:
        sparsity, bits: what was done.
        n: targets of which all three are measured.
        pruned, quantized, both: of these, how many tolerate it by their interval.
        either: how many tolerate each of the two alone.
        kept: of `either`, how many tolerate both at once too; `lost`, how many do not; the rest is undecided.
        lost: see `kept`.
        spearman: between the drops of cutting and of quantizing, over targets, in [-1, 1]: whether it is the same
            targets that suffer. `None` with fewer than 3, or where all drops of one are alike.
        n_sure: interactions whose 95 % interval leaves out 0.
        n_by_chance: so many would on average if there were none.
        mean: of the interactions with its interval; `None` for metrics of the whole set.
    """

    sparsity: float
    bits: int
    n: int
    pruned: int
    quantized: int
    both: int
    either: int
    kept: int
    lost: int
    spearman: float | None
    n_sure: int
    n_by_chance: float
    mean: Estimate | None


@dataclass(frozen=True)
class QuantizationReport(Shown):
    """A run over quantized targets, finished or not.

    Attributes:
        run, workload: as in `SensitivityReport`.
        metric: of the workload.
        scale: of the interactions: the metric's own, but the logarithm of one that is an exponential.
        dense: the dense model's metric; `None` before it is measured.
        tolerance: the drop that is accepted, in the metric's unit; `None` before the dense model is measured.
        cells: by target in network order; cut alone, quantized alone, both.
        means: of the interactions at each sparsity and number of bits, once all is measured.
    """

    run: str
    workload: str
    metric: Scale
    scale: Scale
    dense: Estimate | None
    tolerance: float | None
    cells: tuple[QuantizedCell, ...]
    means: tuple[tuple[float, int, Estimate | None], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values, the answers among them."""
        return {
            "run": self.run,
            "workload": self.workload,
            "metric": asdict(self.metric),
            "scale": asdict(self.scale),
            "dense": asdict(self.dense) if self.dense else None,
            "tolerance": self.tolerance,
            "answers": [asdict(answer) for answer in self.answers()],
            "cells": [cell.to_json() for cell in self.cells],
        }

    def answers(self) -> tuple[JointAnswer, ...]:
        """One for every sparsity and number of bits, once all is measured."""
        return tuple(self._answer(sparsity, bits, mean) for sparsity, bits, mean in self.means)

    def cell(self, target: str, sparsity: float | None, bits: int | None) -> QuantizedCell | None:
        """The cell of a target, if there is one."""
        return next((c for c in self.cells if (c.target, c.sparsity, c.bits) == (target, sparsity, bits)), None)

    def _answer(self, sparsity: float, bits: int, mean: Estimate | None) -> JointAnswer:
        by_place = {(c.target, c.sparsity, c.bits): c for c in self.cells}
        rows = []
        for target in dict.fromkeys(cell.target for cell in self.cells):
            row = tuple(by_place[target, s, b] for s, b in ((sparsity, None), (None, bits), (sparsity, bits)))
            if all(cell.state == "measured" for cell in row):
                rows.append(row)
        assert self.tolerance is not None, "what is measured has a tolerance"
        verdicts = [tuple(cell.verdict(self.tolerance) for cell in row) for row in rows]
        pruned, quantized, both = (sum(v[i] == "tolerated" for v in verdicts) for i in range(3))
        either = [v for v in verdicts if v[:2] == ("tolerated", "tolerated")]
        drops = [[cell.drop.value for cell in row if cell.drop] for row in rows]
        return JointAnswer(
            sparsity,
            bits,
            len(rows),
            pruned,
            quantized,
            both,
            len(either),
            sum(v[2] == "tolerated" for v in either),
            sum(v[2] == "too much" for v in either),
            _spearman([d[0] for d in drops], [d[1] for d in drops]),
            sum(row[2].is_sure for row in rows),
            BY_CHANCE * sum(row[2].interaction is not None for row in rows),
            mean,
        )


def _spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    if len(one) < 3 or len(set(one)) == 1 or len(set(other)) == 1:
        return None
    return statistics.correlation(mid_ranks(one), mid_ranks(other))
