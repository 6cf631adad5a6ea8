"""How much a plan removes, as far as its lines can tell without the model. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.plans.patterns import is_pattern, looked_up_as, parse_pattern
from core.plans.plan import HEADS, Cut, SparsityPlan, n_removed
from core.plans.units import CannotCutError, n_units_removed
from core.workload.description import Description
from core.workload.target import Target

OUTPUT_DIM = {"outputs_first": 0, "two_inputs": 0, "inputs_first": 1, "looked_up": 1}


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


def units_removed(cut: Cut, target: Target) -> tuple[int, str | None]:
    """Channels that a cut of a coupled group removes; 0 and the reason where it cannot be made."""
    try:
        return n_units_removed(target, cut.sparsity or 0.0, cut.align), None
    except CannotCutError as error:
        return 0, str(error)


def plan_totals(plan: SparsityPlan, found: Description) -> Totals:
    """Count what a plan removes of a described model.

    Cuts of targets that the model has not are passed over, and so are those inside a block that is skipped, which
    goes whole.
    """
    skipped = tuple(f"{cut.target}." for cut in plan.cuts if cut.granularity == "block")
    plan = SparsityPlan(tuple(cut for cut in plan.cuts if not skipped or not cut.target.startswith(skipped)))
    groups, impossible = _group_cuts(plan, found)
    by_parameter = _heads(plan, found)
    own: dict[str, list[Cut]] = {}
    for cut in plan.cuts:
        if looked_up_as(cut.granularity) == "weight":
            own.setdefault(cut.target, []).append(cut)
    removed = gone = 0.0
    exact = gone_exact = True
    extra = {target.name: float(target.n_weights) for target, _ in groups}
    for target in found.weight_targets:
        rows, rows_exact = _share(target, groups, "outputs")
        columns, columns_exact = _share(target, groups, "inputs")
        kept = (1 - rows) * (1 - columns)
        gone += target.n_weights * (1 - kept)
        for group, _ in groups:
            extra[group.name] -= target.n_weights * _part(target, group, groups)  # what is left: scales, biases
        kept *= 1 - by_parameter.get(target.parameter, 0) / target.n_weights
        singles = [_n_single(cut, target) for cut in own.get(target.name, ())]
        exact = exact and rows_exact and columns_exact and len([n for n in singles if n]) + (kept < 1) < 2
        for n in singles:
            kept *= 1 - n / target.n_weights
        removed += target.n_weights * (1 - kept)
        gone_exact = gone_exact and rows_exact and columns_exact
    gone += sum(max(0.0, extra[target.name]) * n / (target.n_units or 1) for target, n in groups)
    whole = {cut.target for cut in plan.cuts if cut.granularity == "block"}
    blocks = sum(target.n_weights for target in found.block_targets if target.name in whole)
    return Totals(
        round(removed),
        sum(target.n_weights for target in found.weight_targets),
        exact,
        round(gone + blocks + sum(by_parameter.values())),
        gone_exact and not any(n and (blocks or _is_normalised(group)) for group, n in groups),
        bool(by_parameter),
        impossible,
    )


def _group_cuts(plan: SparsityPlan, found: Description) -> tuple[list[tuple[Target, int]], tuple[str, ...]]:
    """Every coupled group with how many channels it loses; and why some cuts cannot be made."""
    named = {target.name: target for target in found.channel_targets}
    cuts = [cut for cut in plan.cuts if cut.granularity == "channel" and cut.target in named]
    counted = {cut.target: units_removed(cut, named[cut.target]) for cut in cuts}
    groups = [(target, counted.get(name, (0, None))[0]) for name, target in named.items()]
    return groups, tuple(reason for _, reason in counted.values() if reason is not None)


def _heads(plan: SparsityPlan, found: Description) -> Mapping[str, int]:
    """Entries that heads take of each output projection, by its parameter."""
    gone = {(cut.granularity, cut.target) for cut in plan.cuts if cut.granularity in HEADS}
    taken: dict[str, int] = {}
    for target in found.targets:
        if (target.granularity, target.name) in gone:
            taken[target.parameter] = taken.get(target.parameter, 0) + target.n_weights
    sizes = {target.parameter: target.n_weights for target in found.weight_targets}
    return {name: min(n, sizes.get(name, n)) for name, n in taken.items()}


def _n_single(cut: Cut, target: Target) -> int:
    """Entries that a cut of single weights, or of a pattern, removes."""
    sparsity = cut.sparsity or 0.0
    if is_pattern(cut.granularity):
        return parse_pattern(cut.granularity).n_removed(target.n_weights, sparsity)
    return n_removed(sparsity, target.n_weights)


def _is_normalised(group: Target) -> bool:
    return any(member.role == "norm" for member in group.members)


def _roles(target: Target, group: Target) -> set[str]:
    names = (target.name, target.parameter)
    return {member.role for member in group.members if member.layer in names}


def _units(target: Target, groups: Sequence[tuple[Target, int]], role: str) -> int:
    """How many channels a layer's rows or columns stand for; of a flattened image, each for several columns."""
    units = sum(group.n_units or 0 for group, _ in groups if role in _roles(target, group))
    length = _length(target, role)
    is_flattened = target.kind == "Linear" and units and length % units == 0
    return units if is_flattened else max(units, length)


def _share(target: Target, groups: Sequence[tuple[Target, int]], role: str) -> tuple[float, bool]:
    """Share of a layer's rows or columns that go with channels, and whether that is exact."""
    taken = sum(n for group, n in groups if role in _roles(target, group))
    if not taken:
        return 0.0, True
    units = _units(target, groups, role)
    return taken / units, _length(target, role) % units == 0


def _part(target: Target, group: Target, groups: Sequence[tuple[Target, int]]) -> float:
    """Share of a layer's weight that all channels of a group would take."""
    roles = _roles(target, group) & {"outputs", "inputs"}
    return max(((group.n_units or 0) / _units(target, groups, role) for role in roles), default=0.0)


def _length(target: Target, role: str) -> int:
    """Rows of a layer's weight, or its columns."""
    outputs = OUTPUT_DIM[target.layout]
    dim = outputs if role == "outputs" else 1 - outputs
    return target.shape[dim] if dim < len(target.shape) else 1
