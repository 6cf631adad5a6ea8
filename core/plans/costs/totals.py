"""How much a plan removes, as far as its lines can tell without the model. No torch."""

from dataclasses import dataclass

from core.plans.costs.layers import PlanLeft, layers_left
from core.plans.costs.layers import units_removed as units_removed
from core.plans.plan import SparsityPlan
from core.workload.description import Description
from core.workload.target import Target


@dataclass(frozen=True)
class Totals:
    """What a plan removes. Where cuts meet, an entry counts once.

    Attributes:
        n_removed, n_weights: entries of the layers that can be cut, removed and in all, as a plan's measurement counts
            them; skipped blocks are no zeros, and not among them.
        exact: whether `n_removed` is; not where a criterion chooses among what a channel or head takes already.
        n_gone: numbers that a shrunk model keeps no more: weights, biases, scales, shifts.
        gone_exact: whether `n_gone` is; a normalisation may have running statistics, which are no parameters.
        gone_at_least: heads take rows of other projections with them, that the plan's lines do not count.
        impossible: reasons of cuts that cannot be made, one each.
    """

    n_removed: int
    n_weights: int
    exact: bool
    n_gone: int
    gone_exact: bool
    gone_at_least: bool
    impossible: tuple[str, ...] = ()


def plan_totals(plan: SparsityPlan, found: Description) -> Totals:
    """Count what a plan removes of a described model.

    Cuts of targets that the model has not are passed over, and so are those inside a block that is skipped, which
    goes whole.
    """
    return totals_of(layers_left(plan, found), found)


def totals_of(left: PlanLeft, found: Description) -> Totals:
    """`plan_totals` of what is left of each layer."""
    removed = gone = 0.0
    extra = {group.name: float(group.n_weights) for group, _ in left.groups}
    for layer in left.layers:
        n = layer.target.n_weights
        removed += n * (1 - layer.nonzero)
        if not layer.is_skipped:  # a block counts itself
            gone += n * (1 - layer.kept)
        for group, part in layer.parts:
            extra[group] -= n * part  # what is left: scales, biases
    gone += sum(max(0.0, extra[group.name]) * n / (group.n_units or 1) for group, n in left.groups)
    blocks = sum(target.n_weights for target in found.block_targets if target.name in left.skipped)
    exact = all(layer.exact for layer in left.layers)
    gone_exact = all(layer.kept_exact for layer in left.layers)
    return Totals(
        round(removed),
        sum(target.n_weights for target in found.weight_targets),
        exact,
        round(gone + blocks + sum(left.heads.values())),
        gone_exact and not any(n and (blocks or _is_normalised(group)) for group, n in left.groups),
        bool(left.heads),
        left.impossible,
    )


def _is_normalised(group: Target) -> bool:
    return any(member.role == "norm" for member in group.members)
