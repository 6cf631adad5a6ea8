"""The map of pruning × quantization: every target cut, quantized and both, each from the dense weights."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.errors import SecateurError, unknown_name_hint
from core.plans.plan import Cut, SparsityPlan
from core.quantization.measuring import QuantizedMeasurement
from core.quantization.quantized_plan import QuantizedPlan
from core.quantization.report import QuantizedCell
from core.quantization.request import QuantizationRequest
from core.sensitivity.joint_sweep import Alone, Joint, JointSweep, PairNews
from core.sensitivity.report import Estimate
from core.sensitivity.search.shard import mine
from core.workload.target import Target


def quantized_cells(targets: Sequence[Target], request: QuantizationRequest) -> tuple[QuantizedCell, ...]:
    """The cells of a map, waiting, by target in network order: cut alone, quantized alone, both.

    Raises:
        SecateurError: no weight target matches the request's `layers`.
    """
    weights = [target for target in targets if target.granularity == "weight"]
    matching = [target for target in weights if re.search(request.layers, target.name)]
    if not matching:
        names = [target.name for target in weights]
        raise SecateurError(
            f"--layers {request.layers!r} matches no weights; {unknown_name_hint(request.layers, names)}"
        )
    ways: list[tuple[float | None, int | None]] = [(sparsity, None) for sparsity in request.sparsities]
    ways += [(None, bits) for bits in request.bits]
    ways += [(sparsity, bits) for sparsity in request.sparsities for bits in request.bits]
    return tuple(QuantizedCell(target.name, *way, target.n_weights) for target in matching for way in ways)


@dataclass(frozen=True)
class QuantizationFound:
    """What came of it, as in `QuantizationReport`."""

    cells: tuple[QuantizedCell, ...]
    means: tuple[tuple[float, int, Estimate | None], ...]


class QuantizationSweep(JointSweep):
    """Cells of a map on their way from waiting to measured.

    Args:
        measurement: entered.
        cells: from `quantized_cells`.
        request: the criterion by which targets are cut, and whether to replay.
        on_news: called about twice a second.
    """

    def __init__(
        self,
        measurement: QuantizedMeasurement,
        cells: Sequence[QuantizedCell],
        request: QuantizationRequest,
        on_news: Callable[[PairNews], None],
    ) -> None:
        self._cells, self._criterion = tuple(cells), request.criterion
        self._single = [cell for cell in cells if cell.sparsity is None or cell.bits is None]
        self._both = [cell for cell in cells if cell.sparsity is not None and cell.bits is not None]
        at = {(cell.target, cell.sparsity, cell.bits): p for p, cell in enumerate(self._single)}
        pairs = [
            (at[cell.target, cell.sparsity, None], at[cell.target, None, cell.bits], self._plan(cell))
            for cell in self._both
        ]
        names = [f"{cell.target} {'cut' if cell.bits is None else 'quantized'}" for cell in self._single]
        super().__init__(measurement, names, list(map(self._plan, self._single)), pairs, request.replay, on_news)

    def take(self, shard: str | None) -> None:
        """Measure one of several machines' parts alone."""
        if shard is not None:
            belongs = mine([cell.target for cell in (*self._single, *self._both)], shard)
            self.only(p for p, is_mine in enumerate(belongs) if is_mine)

    def _plan(self, cell: QuantizedCell) -> SparsityPlan:
        cut = () if cell.sparsity is None else (Cut(cell.target, "weight", cell.sparsity, self._criterion),)
        return SparsityPlan(cut) if cell.bits is None else QuantizedPlan(cut, bits=((cell.target, cell.bits),))

    def found(self) -> QuantizationFound:
        """Results of what has been measured on all batches; the rest waits."""
        if not self.is_measured:
            return QuantizationFound(self._cells, ())
        alone, joint = self.results()
        cells = {cell: self._with(cell, p, one) for p, (cell, one) in enumerate(zip(self._single, alone, strict=True))}
        for p, (cell, one) in enumerate(zip(self._both, joint, strict=True)):
            cells[cell] = self._with(cell, len(alone) + p, one)
        means = []
        for sparsity, bits in dict.fromkeys((cell.sparsity, cell.bits) for cell in self._both):
            assert sparsity is not None
            assert bits is not None
            of_way = [
                p for p, (cell, one) in enumerate(zip(self._both, joint, strict=True))
                if (cell.sparsity, cell.bits) == (sparsity, bits) and one.interaction is not None
            ]  # fmt: skip
            means.append((sparsity, bits, self.mean(of_way)))
        return QuantizationFound(tuple(cells[cell] for cell in self._cells), tuple(means))

    def _with(self, cell: QuantizedCell, p: int, one: Alone | Joint) -> QuantizedCell:
        if one.state == "failed":
            return replace(cell, state="failed", reason=one.reason)
        outcome = self.outcome(p)  # in the metric's own unit, as a sweep gives it
        if outcome.state == "failed":
            return replace(cell, state="failed", reason=outcome.reason)
        interaction = one.interaction if isinstance(one, Joint) else None
        return replace(
            cell, state=one.state, metric=outcome.metric, drop=outcome.drop, interaction=interaction, reason=one.reason
        )
