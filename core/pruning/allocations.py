"""Allocations: how a budget is shared among layers. A new one is a function and a line in `ALLOCATIONS`.

Each says how many weights every layer loses; the plan's criterion, magnitude, chooses which. For `global` and `lamp`
that gives exactly the masks of their global rankings, because both rank the weights of one layer by magnitude.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.plans.baselines import SHAPE_ALLOCATIONS, Allocated, Counts, Units, erk_units, most_removed, uniform_units
from core.plans.costs.left import Kind, plan_cost
from core.plans.plan import DEFAULT_CRITERION, Cut, SparsityPlan
from core.plans.units import why_not
from core.pruning.masks import MaskMaker
from core.pruning.ranking import least_first
from core.workload.description import Description
from core.workload.target import Target

BUDGETS: tuple[Kind, ...] = ("nonzeros", "flops", "bytes")
STEPS = 128  # of the share of channels that goes, until a budget is met
HALVINGS = 20  # of the step before that
Allocation = Callable[[nn.Module, Sequence[Target]], Allocated]


def global_magnitude(model: nn.Module, targets: Sequence[Target]) -> Allocated:
    """The smallest weights of all layers together go; the largest of each layer stays.

    Ties by position, earlier layers first. Source: Han et al. 2015, arXiv:1506.02626; as `global_unstructured` of
    `torch.nn.utils.prune`.
    """
    return _ranked(model, targets, lambda ascending: ascending)


def lamp(model: nn.Module, targets: Sequence[Target]) -> Allocated:
    """Global ranking by w² over the sum of the squares that are not smaller in its layer; the largest scores 1.

    Source: Lee et al. 2021 (LAMP), arXiv:2010.07611.
    """
    return _ranked(model, targets, lamp_scores)


def lamp_scores(ascending: Tensor) -> Tensor:
    """LAMP of magnitudes (n,) in ascending order, in [0, 1]; a layer of zeros scores 0."""
    squares = ascending.double().square()
    not_smaller = squares.flip(0).cumsum(0).flip(0)
    return torch.where(not_smaller > 0, squares / not_smaller, 0.0)


def _ranked(model: nn.Module, targets: Sequence[Target], scores: Callable[[Tensor], Tensor]) -> Allocated:
    """Ranks all weights once; `scores` takes a layer's magnitudes in ascending order and keeps the order."""
    parts: list[Tensor] = []
    for target in targets:
        values = model.get_parameter(target.parameter).detach().abs().flatten()
        values = values[least_first(values)].cpu()
        parts.append(scores(values)[:-1].double())  # the last one stays, or the layer would be gone
    order = torch.cat(parts).argsort(stable=True) if parts else torch.empty(0, dtype=torch.int64)
    layer = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([len(part) for part in parts]))[order]

    def counts(removed: int) -> Counts:
        found = torch.bincount(layer[:removed], minlength=len(targets)).tolist()
        return {target.name: n for target, n in zip(targets, found, strict=True)}

    return counts


def _by_shape(name: str) -> Allocation:
    return lambda model, targets: SHAPE_ALLOCATIONS[name](targets)


ALLOCATIONS: Mapping[str, Allocation] = MappingProxyType(
    {
        **{name: _by_shape(name) for name in SHAPE_ALLOCATIONS},
        "global": global_magnitude,  # Han et al. 2015, arXiv:1506.02626
        "lamp": lamp,  # Lee et al. 2021, arXiv:2010.07611
    }
)


def allocated_plan(
    name: str, model: nn.Module, found: Description, budget: float, kind: Kind = "nonzeros"
) -> SparsityPlan:
    """A plan of single weights by an allocation of `ALLOCATIONS`, chosen by magnitude within each layer.

    Args:
        name: of the allocation.
        model: dense; only read.
        found: its description.
        budget: share of the dense model's cost that may be left, in (0, 1].
        kind: `"nonzeros"`: of the weights that can be cut, `round((1 - budget) * n)` go (`uniform` rounds each layer).
            `"flops"`, `"bytes"`: as few weights go as bring that of `plan_cost` to the budget or just below.

    Raises:
        SecateurError: an unknown allocation or kind, a budget outside (0, 1], or one that cannot be reached: at least a
            weight of each layer stays.
    """
    if name not in ALLOCATIONS:
        raise SecateurError(f"no allocation {name!r}; choose one of {sorted(ALLOCATIONS)}")
    if kind not in BUDGETS:
        raise SecateurError(f"a budget is of {' or '.join(BUDGETS)}; got {kind!r}")
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget <= 1:
        raise SecateurError(
            f"budget must be the share that is left, in (0, 1], got {budget!r}. Percent? Divide by 100."
        )
    targets = found.weight_targets
    most = most_removed(targets)
    plan_of = partial(_plan, ALLOCATIONS[name](model, targets), targets, found.ref)
    if kind == "nonzeros":
        n = sum(target.n_weights for target in targets)
        removed = round((1 - budget) * n)
        if removed > most:
            raise SecateurError(
                f"{budget:.3g} of {n:,} weights are fewer than the {len(targets)} layers, of which one weight each "
                "stays; give a larger budget"
            )
        return plan_of(removed)
    dense = plan_cost(SparsityPlan(), found, kind).value

    def is_within(removed: int) -> bool:
        return plan_cost(plan_of(removed), found, kind).value <= budget * dense * (1 + 1e-12)

    if not is_within(most):
        least, what = plan_cost(plan_of(most), found, kind).value / dense, "operations" if kind == "flops" else kind
        raise SecateurError(
            f"{name} leaves {least:.3g} of the {what} at least, for not all of them are of weights that can be "
            f"cut; the budget is {budget:.3g}"
        )
    too_few, enough = -1, most
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if is_within(middle) else (middle, enough)
    return plan_of(enough)


def _plan(allocated: Allocated, targets: Sequence[Target], workload: str, removed: int) -> SparsityPlan:
    counts = allocated(removed)
    cuts = [
        Cut(target.name, "weight", counts[target.name] / target.n_weights, DEFAULT_CRITERION)
        for target in targets
        if counts[target.name]
    ]
    return SparsityPlan(tuple(cuts), workload)


def allocated_channels(
    name: str,
    maker: MaskMaker,
    groups: Sequence[tuple[Units, Cut]],
    workload: str,
    cost: Callable[[SparsityPlan], float],
    limit: float,
    rounded: Callable[[SparsityPlan], SparsityPlan] = lambda plan: plan,
) -> SparsityPlan:
    """A plan of whole channels by an allocation of `CHANNEL_ALLOCATIONS`: as few go as bring a cost to its limit.

    Args:
        name: of the allocation.
        maker: of masks, which knows the groups.
        groups: coupled groups, each with a cut of any sparsity: its criterion chooses which channels go, its alignment
            how many stay.
        workload: for the plan's note.
        cost: of a plan.
        limit: of the cost, in its unit.
        rounded: the plan with the widths that may be left, such as where an engine's steps end.

    Raises:
        SecateurError: an unknown allocation, or the limit cannot be met: at least a channel of each group stays.
    """
    if name not in CHANNEL_ALLOCATIONS:
        raise SecateurError(f"no allocation of channels {name!r}; choose one of {sorted(CHANNEL_ALLOCATIONS)}")
    counts = CHANNEL_ALLOCATIONS[name](maker, [one for one, _ in groups])

    def plan_of(gone: float) -> SparsityPlan:
        found = counts(gone)
        cuts = [replace(cut, sparsity=found[one.target.name] / one.n) for one, cut in groups]
        made = zip(cuts, groups, strict=True)
        kept = tuple(cut for cut, (one, _) in made if not why_not(one.target, cut.sparsity or 0.0, cut.align))
        return rounded(SparsityPlan(kept, workload))

    def cost_at(gone: float) -> float:
        return cost(plan_of(gone))

    # from little on: a time is not sure to fall with every channel, for some widths leave an engine's fast path
    within, least = limit * (1 + 1e-12), cost_at(0.0)
    for step in range(1, STEPS + 1):
        now = cost_at(step / STEPS)
        if now <= within:
            break
        least = min(least, now)
    else:
        dense = cost(SparsityPlan())
        raise SecateurError(f"{name} leaves {least / dense:.3g} at least; the budget is {limit / dense:.3g}")
    too_few, enough = (step - 1) / STEPS, step / STEPS
    for _ in range(HALVINGS):
        middle = (too_few + enough) / 2
        too_few, enough = (too_few, middle) if cost_at(middle) <= within else (middle, enough)
    return plan_of(enough)


def lamp_units(maker: MaskMaker, groups: Sequence[Units]) -> Callable[[float], Counts]:
    """LAMP's ranking of channels: their squared L2 norm over the sum of those not smaller in their group.

    Departs from Lee et al. 2021, arXiv:2010.07611, in that a channel with all its weights stands for a weight.
    """
    parts = [lamp_scores(maker.unit_scores("l2", one.target).sqrt().sort().values.cpu())[:-1] for one in groups]
    order = torch.cat(parts).argsort(stable=True) if parts else torch.empty(0, dtype=torch.int64)
    group = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([len(part) for part in parts]))[order]

    def counts(gone: float) -> Counts:
        found = torch.bincount(group[: round(gone * len(group))], minlength=len(groups)).tolist()
        return {one.target.name: n for one, n in zip(groups, found, strict=True)}

    return counts


CHANNEL_ALLOCATIONS: Mapping[str, Callable[[MaskMaker, Sequence[Units]], Callable[[float], Counts]]] = MappingProxyType(
    {
        "uniform": lambda maker, groups: uniform_units(groups),
        "erk": lambda maker, groups: erk_units(groups),
        "lamp": lamp_units,
    }
)
