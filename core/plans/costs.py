"""What is left after a plan: non-zeros, parameters, operations, bytes, milliseconds. No torch.

This is the truth as far as a plan's lines can tell it; `core.plans.cost_table` has what a solver adds up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from core.errors import SecateurError
from core.plans.layers_left import LayerLeft, layers_left
from core.plans.plan import SparsityPlan
from core.plans.savings import Saved, SavedTime, saved_at
from core.plans.totals import plan_totals
from core.workload.description import Description, products_of

Kind = Literal["nonzeros", "parameters", "flops", "bytes", "milliseconds"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Cost:
    """What is left after a plan.

    Attributes:
        value: in the unit of the kind.
        exact: whether a measurement would give the same number.
        low, high: of milliseconds, the sums of the savings' 95 % intervals; else `None`.
        unmeasured: cuts of which nobody measured what time they save; they count as saving none.
    """

    value: float
    exact: bool
    low: float | None = None
    high: float | None = None
    unmeasured: tuple[str, ...] = ()


def plan_cost(plan: SparsityPlan, found: Description, kind: Kind, saved: SavedTime | None = None) -> Cost:
    """What is left of a described model after a plan.

    Args:
        plan: cuts of targets that the model has not are passed over.
        found: the model.
        kind: `"nonzeros"`: entries of the layers that can be cut which no mask removes and no skipped block holds.
            `"parameters"`: numbers of a shrunk model; zeros are numbers. `"flops"`: operations of one example, a
            multiply-add counting two, with the weights that are left: what is multiplied by a zero is not counted,
            though an engine for dense matrices gains nothing by it; channels, heads and blocks are really gone.
            `"bytes"`: of a file of a shrunk model's parameters; a layer with zeros takes a bit for each place and its
            other numbers, or what it takes without zeros, whichever is less. `"milliseconds"`: of a forward pass; a
            prediction, from savings that were measured one by one and are added up, linear between measured
            sparsities and constant beyond the last. Single zeros save no time.
        saved: for milliseconds.

    Raises:
        SecateurError: an unknown kind, or what it needs is not known of this model.
    """
    if kind == "milliseconds":
        return _milliseconds(plan, found, saved)
    if kind == "parameters":
        totals = plan_totals(plan, found)
        # heads take rows of other projections with them
        left = layers_left(plan, found)
        rows = sum(
            layer.target.n_weights * layer.kept * layer.heads * (1 - layer.projected) for layer in _kept(left.layers)
        )
        exact = totals.gone_exact and not totals.gone_at_least
        return Cost(found.n_parameters - totals.n_gone - round(rows), exact)
    if kind == "nonzeros":
        left = layers_left(plan, found)
        n = sum(layer.target.n_weights * layer.nonzero for layer in _kept(left.layers))
        return Cost(round(n), all(layer.exact for layer in _kept(left.layers)))
    if kind == "flops":
        return _flops(plan, found)
    if kind == "bytes":
        return _bytes(plan, found)
    raise SecateurError(f"no cost {kind!r}; choose one of {', '.join(KINDS)}")


def _kept(layers: Sequence[LayerLeft]) -> list[LayerLeft]:
    return [layer for layer in layers if not layer.is_skipped]


def _flops(plan: SparsityPlan, found: Description) -> Cost:
    if not found.flops:
        raise SecateurError(f"operations of {found.name} could not be counted; choose another cost")
    left = layers_left(plan, found)
    flops = dict(found.flops)
    inside = tuple(f"{name}." for name in left.skipped)
    for layer in left.layers:
        if layer.target.name in flops:
            flops[layer.target.name] *= layer.there * layer.singles
    for path, share in left.heads_gone.items():
        if products_of(path) in flops:
            flops[products_of(path)] *= 1 - share
    products = products_of("x").removesuffix("x")
    gone = [name for name in flops if inside and f"{name.removeprefix(products)}.".startswith(inside)]
    return Cost(
        sum(n for name, n in flops.items() if name not in gone), all(layer.exact for layer in _kept(left.layers))
    )


def _bytes(plan: SparsityPlan, found: Description) -> Cost:
    if not found.n_bytes or not found.n_parameters:
        raise SecateurError(f"how many bytes {found.name} takes is not known; read the model again")
    each = found.n_bytes / found.n_parameters
    numbers = plan_cost(plan, found, "parameters")
    spared = 0.0
    layers = _kept(layers_left(plan, found).layers)
    for layer in layers:
        there = layer.target.n_weights * layer.there
        spared += max(0.0, there * each * (1 - layer.singles) - there / 8)  # a bit says which places hold a number
    exact = numbers.exact and found.n_bytes % found.n_parameters == 0 and all(layer.exact for layer in layers)
    return Cost(numbers.value * each - spared, exact)


def _milliseconds(plan: SparsityPlan, found: Description, saved: SavedTime | None) -> Cost:
    if saved is None:
        raise SecateurError("milliseconds need a profile with savings; make one with `secateur profile --savings`")
    left = layers_left(plan, found)
    used: list[Saved] = []
    unmeasured = sorted(left.skipped)
    for group, n in left.groups:
        if n and group.n_units and group.name in saved.channels:
            used.append(saved_at(saved.channels[group.name], n / group.n_units))
        elif n:
            unmeasured.append(group.name)
    for path, share in left.heads_gone.items():
        if path in saved.heads:
            used.append(saved_at(saved.heads[path], share))
        else:
            unmeasured.append(path)
    value, low, high = (
        1000 * max(0.0, saved.dense - sum(seconds))
        for seconds in ([one.seconds for one in used], [one.high for one in used], [one.low for one in used])
    )
    return Cost(value, not plan.cuts, low, high, tuple(unmeasured))
