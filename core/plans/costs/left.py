"""What is left after a plan: non-zeros, parameters, operations, bytes, memory, milliseconds. No torch.

This is the truth as far as a plan's lines can tell it; `core.plans.costs.table` has what a solver adds up.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from core.errors import SecateurError
from core.plans.costs.layers import LayerLeft, PlanLeft, layers_left
from core.plans.costs.memory import known, peak, units_gone
from core.plans.costs.savings import Saved, SavedTime, saved_at
from core.plans.costs.stairs import EngineTime
from core.plans.costs.totals import totals_of
from core.plans.plan import SparsityPlan
from core.workload.description import Description, products_of

Kind = Literal["nonzeros", "parameters", "flops", "bytes", "memory", "milliseconds"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Cost:
    """What is left after a plan.

    Attributes:
        value: in the unit of the kind.
        exact: whether a measurement would give the same number.
        low, high: of milliseconds, the sums of the savings' 95 % intervals; in an engine as far off as the worst of the
            plans that were timed there; else `None`.
        unmeasured: cuts of which nobody measured what time, or memory, they save; they count as saving none.
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
            other numbers, or what it takes without zeros, whichever is less. `"memory"`: bytes that a forward pass of
            a shrunk model holds at once, at most: weights, inputs and what it calculates, at the batch and length of
            `core.plans.costs.memory.at`; zeros are numbers. `"milliseconds"`: of a forward pass; a
            prediction, from savings that were measured one by one and are added up, linear between measured
            sparsities and constant beyond the last, or laid out over layers where stairs of an engine are known.
            Single zeros save no time.
        saved: for milliseconds.

    Raises:
        SecateurError: an unknown kind, or what it needs is not known of this model.
    """
    if kind not in KINDS:
        raise SecateurError(f"no cost {kind!r}; choose one of {', '.join(KINDS)}")
    left = layers_left(plan, found)
    if kind == "milliseconds":
        return _milliseconds(left, saved, not plan.cuts)
    if kind == "nonzeros":
        layers = _kept(left)
        n = sum(layer.target.n_weights * layer.nonzero for layer in layers)
        return Cost(round(n), all(layer.exact for layer in layers))
    if kind == "flops":
        return _flops(left, found)
    if kind == "memory":
        gone, unknown = units_gone(left, found)
        return Cost(peak(known(found), gone), exact=not unknown, unmeasured=unknown)
    return _parameters(left, found) if kind == "parameters" else _bytes(left, found)


def bytes_spared(n: float, zeros: float, each: float) -> float:
    """What a file spares by keeping only the numbers of a layer that are not 0, with a bit for each place.

    Args:
        n: numbers of the layer.
        zeros: of these, the share that is 0.
        each: bytes of a number.

    Returns:
        0 where the places would need more room than the zeros.
    """
    return max(0.0, n * each * zeros - n / 8)


def _parameters(left: PlanLeft, found: Description) -> Cost:
    totals = totals_of(left, found)
    rows = sum(  # heads take rows of other projections with them
        layer.target.n_weights * layer.kept * layer.heads * (1 - layer.projected) for layer in _kept(left)
    )
    exact = totals.gone_exact and not totals.gone_at_least
    return Cost(found.n_parameters - totals.n_gone - round(rows), exact)


def _kept(left: PlanLeft) -> list[LayerLeft]:
    return [layer for layer in left.layers if not layer.is_skipped]


def _flops(left: PlanLeft, found: Description) -> Cost:
    if not found.flops:
        raise SecateurError(f"operations of {found.name} could not be counted; choose another cost")
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
    return Cost(sum(n for name, n in flops.items() if name not in gone), all(layer.exact for layer in _kept(left)))


def _bytes(left: PlanLeft, found: Description) -> Cost:
    if not found.n_bytes or not found.n_parameters:
        raise SecateurError(f"how many bytes {found.name} takes is not known; read the model again")
    each = found.n_bytes / found.n_parameters
    numbers, layers = _parameters(left, found), _kept(left)
    spared = sum(bytes_spared(layer.target.n_weights * layer.there, 1 - layer.singles, each) for layer in layers)
    exact = numbers.exact and found.n_bytes % found.n_parameters == 0 and all(layer.exact for layer in layers)
    return Cost(numbers.value * each - spared, exact)


def _milliseconds(left: PlanLeft, saved: SavedTime | None, is_dense: bool) -> Cost:
    if saved is None:
        raise SecateurError(
            "milliseconds need a profile with savings; make one with `secateur profile --savings`, or name an engine "
            "whose widths were measured (`secateur profile --widths`): --engine onnx"
        )
    if saved.built is not None:
        return _in_engine(left, saved.built, is_dense)
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
    return Cost(value, is_dense, low, high, tuple(unmeasured))


def _in_engine(left: PlanLeft, time: EngineTime, is_dense: bool) -> Cost:
    unmeasured = sorted(left.skipped)
    channels: dict[str, int] = {}
    for group, n in left.groups:
        if n and group.name in time.channels:
            channels[group.name] = (group.n_units or 0) - n
        elif n:
            unmeasured.append(group.name)
    heads: dict[str, int] = {}
    for path, share in left.heads_gone.items():
        if path in time.heads:
            heads[path] = round(time.heads[path].n * (1 - share))
        else:
            unmeasured.append(path)
    value = 1000 * time.seconds(channels, heads)
    off = time.off if channels or heads else 0.0
    low, high = (None, None) if off is None else (value * (1 - off), value * (1 + off))
    return Cost(value, is_dense, low, high, tuple(unmeasured))
