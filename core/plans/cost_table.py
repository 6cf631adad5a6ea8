"""Costs that add up, row by row, for a solver and for a browser. No torch.

Each row is counted as if it were cut alone. For single weights the sum is the truth; where channels meet (a producer's
rows and a consumer's columns) it takes too much off, so what a solver chose has to be asked of `plan_cost`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.plans.costs import Kind, plan_cost
from core.plans.plan import STRUCTURED, Cut, SparsityPlan
from core.plans.savings import SavedTime
from core.workload.description import Description, products_of
from core.workload.target import Target


@dataclass(frozen=True)
class CostTable:
    """Costs that add up: `fixed` and of each row the cost of its level. The sum is what is left, as if rows never met.

    Attributes:
        kind: of cost.
        fixed: what no row touches; below 0 where rows overlap.
        rows: of each row, of each level, what is left of it, >= 0.
    """

    kind: Kind
    fixed: float
    rows: tuple[tuple[float, ...], ...]

    def left(self, levels: Sequence[int]) -> float:
        """What is left at these levels, one of each row."""
        return self.fixed + sum(row[level] for row, level in zip(self.rows, levels, strict=True))


def cost_table(
    rows: Sequence[Sequence[Cut | None]], found: Description, kind: Kind, saved: SavedTime | None = None
) -> CostTable:
    """What is left of each row at each of its levels, cut alone.

    Args:
        rows: of each row the cut of each level; `None` is no cut. Cuts of one row are of one target and granularity.
        found: the model.
        kind: as in `plan_cost`.
        saved: for milliseconds.

    Raises:
        SecateurError: as `plan_cost`.
    """
    dense = plan_cost(SparsityPlan(), found, kind, saved).value
    near = _Neighbours(found)
    costs: list[tuple[float, ...]] = []
    for levels in rows:
        first = next((cut for cut in levels if cut is not None), None)
        if first is None or (kind == "milliseconds" and first.granularity not in STRUCTURED):
            costs.append((0.0,) * len(levels))
            continue
        around = near.of(first)
        whole = plan_cost(SparsityPlan(), around, kind, saved).value if around.targets else 0.0
        spared = [whole - _alone(cut, around, kind, saved) if cut is not None else 0.0 for cut in levels]
        most = max(*spared, _own(first, around, kind), 0.0)
        costs.append(tuple(most - one for one in spared))
    return CostTable(kind, dense - sum(max(row) if row else 0.0 for row in costs), tuple(costs))


def _alone(cut: Cut, found: Description, kind: Kind, saved: SavedTime | None) -> float:
    return plan_cost(SparsityPlan((cut,)), found, kind, saved).value if found.targets else 0.0


def _own(cut: Cut, found: Description, kind: Kind) -> float:
    """What a row of single weights has to lose in all, so that what is left of it is that of the layer."""
    if cut.granularity in STRUCTURED:
        return 0.0
    target = next((target for target in found.weight_targets if target.name == cut.target), None)
    if target is None:
        return 0.0
    each = (found.n_bytes or 0) / (found.n_parameters or 1)
    own = {"nonzeros": target.n_weights, "flops": found.flops.get(target.name, 0.0), "bytes": target.n_weights * each}
    return own.get(kind, 0.0)


class _Neighbours:
    """The part of a description that a cut touches: a table of hundreds of rows does not count all each time."""

    def __init__(self, found: Description) -> None:
        self._found = found
        self._weights = {name: target for target in found.weight_targets for name in (target.name, target.parameter)}
        self._groups: dict[str, list[Target]] = {}
        for group in found.channel_targets:
            for member in group.members:
                self._groups.setdefault(member.layer, []).append(group)
        self._named = {(target.granularity, target.name): target for target in found.targets}

    def of(self, cut: Cut) -> Description:
        """What is enough to know what the cut alone takes off."""
        granularity = cut.granularity if cut.granularity in STRUCTURED else "weight"
        target = self._named.get((granularity, cut.target))
        if target is None:
            return replace(self._found, targets=())
        around: list[Target] = [target]
        if granularity == "weight":
            layers: list[Target] = []
        elif granularity == "channel":
            layers = [self._weights[member.layer] for member in target.members if member.layer in self._weights]
            around += [
                group
                for layer in layers
                for name in (layer.name, layer.parameter)
                for group in self._groups.get(name, ())
            ]
        else:
            is_block = granularity == "block"
            path = cut.target if is_block else target.layer or ""
            layers = [
                layer
                for layer in self._found.weight_targets
                if not path
                or f"{layer.name}.".startswith(f"{path}.")
                or (not is_block and layer.parameter == target.parameter)
            ]
            heads = [] if is_block else [*self._found.head_targets, *self._found.kv_group_targets]
            around += [one for one in heads if one.layer == target.layer]
        around += layers
        flops = {
            layer.name: self._found.flops.get(layer.name, 0.0) for layer in around if layer.granularity == "weight"
        }
        if granularity == "block":  # with what its modules multiply that is nobody's
            flops = dict(self._found.flops)
        elif target.layer is not None:
            name = products_of(target.layer)
            flops[name] = self._found.flops.get(name, 0.0)
        return replace(self._found, targets=tuple(dict.fromkeys(around)), flops=flops)
