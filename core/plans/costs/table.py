"""Costs that add up, row by row, for a solver and for a browser. No torch.

Each row is counted as if it were cut alone. For single weights the sum is the truth; where channels meet (a producer's
rows and a consumer's columns) it takes too much off, so what a solver chose has to be asked of `plan_cost`. Of memory
the rows add up at some moments of the pass, and which one holds most hangs on the plan: `MemoryUse.moments`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.plans.costs import memory
from core.plans.costs.layers import n_single
from core.plans.costs.left import Kind, bytes_spared, plan_cost
from core.plans.costs.savings import SavedTime
from core.plans.plan import STRUCTURED, Cut, SparsityPlan
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
    uncut = 0.0  # of all rows together; a width that an engine is slow with costs more than none cut
    for levels in rows:
        first = next((cut for cut in levels if cut is not None), None)
        if first is None or (kind == "milliseconds" and first.granularity not in STRUCTURED):
            costs.append((0.0,) * len(levels))
            continue
        if first.granularity not in STRUCTURED:
            costs.append(_of_weights(levels, near.weight(first), found, kind))
            uncut += max(costs[-1], default=0.0)
            continue
        around = near.of(first)
        if kind == "memory":
            spared = [0.0 if cut is None else memory.spared(cut, around) for cut in levels]
        else:
            whole = plan_cost(SparsityPlan(), around, kind, saved).value
            alone = (
                0 if cut is None else whole - plan_cost(SparsityPlan((cut,)), around, kind, saved).value
                for cut in levels
            )
            spared = [float(one) for one in alone]
        most = max(*spared, 0.0)
        costs.append(tuple(most - one for one in spared))
        uncut += most
    return CostTable(kind, dense - uncut, tuple(costs))


def _of_weights(
    levels: Sequence[Cut | None], target: Target | None, found: Description, kind: Kind
) -> tuple[float, ...]:
    """What is left of a layer; the short way to what `plan_cost` says, for there are many of them."""
    if target is None or kind in ("parameters", "memory"):
        return (0.0,) * len(levels)
    n, each = target.n_weights, (found.n_bytes or 0) / (found.n_parameters or 1)
    zeros = [0 if cut is None else n_single(cut, target) for cut in levels]
    if kind == "bytes":
        return tuple(n * each - bytes_spared(n, gone / n, each) for gone in zeros)
    own = found.flops.get(target.name, 0.0) if kind == "flops" else float(n)
    return tuple(own * (n - gone) / n for gone in zeros)


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

    def weight(self, cut: Cut) -> Target | None:
        """The layer whose single weights, or patterns of them, are cut."""
        return self._named.get(("weight", cut.target))

    def of(self, cut: Cut) -> Description:
        """What is enough to know what a cut of channels, heads or a block alone takes off."""
        granularity = cut.granularity
        target = self._named.get((granularity, cut.target))
        if target is None:
            return replace(self._found, targets=())
        around: list[Target] = [target]
        if granularity == "channel":
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
