"""What a plan leaves of every layer, told by its lines and the description of the model. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from core.plans.checked import n_removed
from core.plans.patterns import is_pattern, looked_up_as, parse_pattern
from core.plans.plan import HEADS, Cut, SparsityPlan
from core.plans.units import CannotCutError, n_units_removed
from core.workload.description import Description
from core.workload.target import Member, Target

OUTPUT_DIM = {"outputs_first": 0, "two_inputs": 0, "inputs_first": 1, "looked_up": 1, "transposed": 1, "experts": 0}


def units_removed(cut: Cut, target: Target) -> tuple[int, str | None]:
    """Channels that a cut of a coupled group removes; 0 and the reason where it cannot be made."""
    try:
        return n_units_removed(target, cut.sparsity or 0.0, cut.align), None
    except CannotCutError as error:
        return 0, str(error)


@dataclass(frozen=True)
class LayerLeft:
    """What a plan leaves of one layer's weight, as shares in [0, 1].

    Attributes:
        target: of single weights.
        kept: of the entries, after what goes with channels; a smaller model has these.
        heads: of the kept ones, after what heads take of an output projection.
        projected: after what heads take of the rows that make queries, keys and values; no zeros, but gone when shrunk.
        singles: of the others, after single weights and patterns.
        is_skipped: it lies in a block that is skipped.
        exact, kept_exact: whether all the shares are; whether `kept` is.
        parts: coupled groups by name, with the share of the weight that all their channels would take.
        rows, columns: of the outputs and of the inputs, the share that goes with channels.
    """

    target: Target
    kept: float
    heads: float
    projected: float
    singles: float
    is_skipped: bool
    exact: bool
    kept_exact: bool
    parts: tuple[tuple[str, float], ...]
    rows: float = 0.0
    columns: float = 0.0

    @property
    def dense_outputs(self) -> int:
        """Outputs that the dense model has of it."""
        return _length(self.target, "outputs")

    @property
    def dense_inputs(self) -> int:
        """Inputs that the dense model has of it."""
        return _length(self.target, "inputs")

    @property
    def outputs(self) -> int:
        """Outputs that a smaller model has of it."""
        return 0 if self.is_skipped else round(self.dense_outputs * (1 - self.rows) * self.projected)

    @property
    def inputs(self) -> int:
        """Inputs that a smaller model has of it."""
        return 0 if self.is_skipped else round(self.dense_inputs * (1 - self.columns) * self.heads)

    @property
    def nonzero(self) -> float:
        """Share of the entries that no mask removes."""
        return self.kept * self.heads * self.singles

    @property
    def there(self) -> float:
        """Share of the entries that a smaller model has: zeros take as much room as other numbers."""
        return 0.0 if self.is_skipped else self.kept * self.heads * self.projected


@dataclass(frozen=True)
class PlanLeft:
    """What a plan leaves of every layer.

    Attributes:
        layers: in network order.
        groups: every coupled group with how many channels it loses.
        heads: entries that heads take of output projections, by parameter.
        heads_gone: of every attention that loses any, the share of its heads.
        skipped: names of blocks.
        impossible: reasons of cuts that cannot be made.
        attentions: of those that lose heads, how many query heads and key/value heads go, and how many of the first
            share one of the second.
    """

    layers: tuple[LayerLeft, ...]
    groups: tuple[tuple[Target, int], ...]
    heads: Mapping[str, int]
    heads_gone: Mapping[str, float]
    skipped: frozenset[str]
    impossible: tuple[str, ...]
    attentions: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)


def layers_left(plan: SparsityPlan, found: Description) -> PlanLeft:
    """What is left of each layer that can be cut; cuts are passed over as in `plan_totals`."""
    skipped = frozenset(cut.target for cut in plan.cuts if cut.granularity == "block")
    inside = tuple(f"{name}." for name in skipped)
    plan = SparsityPlan(tuple(cut for cut in plan.cuts if not inside or not cut.target.startswith(inside)))
    groups, impossible = _group_cuts(plan, found)
    near: dict[str, list[tuple[Target, int]]] = {}
    for group, n in groups:
        for name in dict.fromkeys(member.layer for member in group.members):
            near.setdefault(name, []).append((group, n))
    by_parameter = _heads(plan, found)
    attentions = _attentions(plan, found)
    own: dict[str, list[Cut]] = {}
    for cut in plan.cuts:
        if looked_up_as(cut.granularity) == "weight":
            own.setdefault(cut.target, []).append(cut)
    layers = []
    for target in found.weight_targets:
        names = (target.name, target.parameter)
        around = {group.name: (group, n) for name in names for group, n in near.get(name, ())}
        coupled = tuple(around.values())
        rows, rows_exact = _share(target, coupled, "outputs")
        columns, columns_exact = _share(target, coupled, "inputs")
        kept = (1 - rows) * (1 - columns)
        heads = 1 - by_parameter.get(target.parameter, 0) / target.n_weights
        singles = [n for cut in own.get(target.name, ()) if (n := n_single(cut, target))]
        left = prod(1 - n / target.n_weights for n in singles)
        layers.append(
            LayerLeft(
                target,
                kept,
                heads,
                _projected(target, attentions),
                left,
                bool(inside) and f"{target.name}.".startswith(inside),
                rows_exact and columns_exact and len(singles) + (kept * heads < 1) < 2,
                rows_exact and columns_exact,
                tuple((group.name, _part(target, group, coupled)) for group, _ in coupled),
                rows,
                columns,
            )
        )
    gone = {attention.layer: attention.share for attention in attentions}
    counts = {one.layer: (one.gone, one.kv_gone, one.n_heads // one.n_kv) for one in attentions}
    return PlanLeft(tuple(layers), tuple(groups), by_parameter, gone, skipped, impossible, counts)


@dataclass(frozen=True)
class _Attention:
    """An attention that loses heads."""

    layer: str
    output: str  # parameter of the output projection
    width: int  # rows of one head in each projection
    n_heads: int
    n_kv: int
    gone: int
    kv_gone: int

    @property
    def share(self) -> float:
        return self.gone / self.n_heads

    def projected(self, rows: int) -> float:
        """Share of a projection's rows that stays, told by how many it has: queries, keys or values, or all three."""
        queries, keys = self.n_heads * self.width, self.n_kv * self.width
        if rows == queries:
            return 1 - self.share
        if rows == keys:
            return 1 - self.kv_gone / self.n_kv
        if rows == queries + 2 * keys:
            return 1 - (self.gone + 2 * self.kv_gone) / (self.n_heads + 2 * self.n_kv)
        return 1.0


def _attentions(plan: SparsityPlan, found: Description) -> tuple[_Attention, ...]:
    """Attentions that lose heads, and how many; a key/value head goes with the last query head that it serves."""
    cut = {(cut.granularity, cut.target) for cut in plan.cuts if cut.granularity in HEADS}
    shared: dict[str, list[Target]] = {}
    for group in found.kv_group_targets:
        shared.setdefault(group.layer or "", []).append(group)
    own: dict[str, list[Target]] = {}
    for head in found.head_targets:
        own.setdefault(head.layer or "", []).append(head)
    attentions = []
    for layer, heads in own.items():
        groups = shared.get(layer, [])
        n_kv = len(groups) or len(heads)
        each = len(heads) // n_kv
        gone = {head.head or 0 for head in heads if ("head", head.name) in cut}
        for group in groups:
            if ("kv_group", group.name) in cut:
                first = (group.head or 0) * each
                gone.update(range(first, first + each))
        kv_gone = sum(all(kv * each + i in gone for i in range(each)) for kv in range(n_kv))
        width = heads[0].n_weights // heads[0].n_outputs
        if gone:
            attentions.append(_Attention(layer, heads[0].parameter, width, len(heads), n_kv, len(gone), kv_gone))
    return tuple(attentions)


def _projected(target: Target, attentions: Sequence[_Attention]) -> float:
    """Share of a weight's rows that stays where it makes queries, keys or values of an attention."""
    for attention in attentions:
        is_inside = not attention.layer or target.name.startswith(f"{attention.layer}.")
        if is_inside and target.parameter != attention.output:
            return attention.projected(_length(target, "outputs"))
    return 1.0


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


def n_single(cut: Cut, target: Target) -> int:
    """Entries that a cut of single weights, or of a pattern, removes."""
    sparsity = cut.sparsity or 0.0
    if is_pattern(cut.granularity):
        return parse_pattern(cut.granularity).n_removed(target.n_weights, sparsity)
    return n_removed(sparsity, target.n_weights)


def _members(target: Target, group: Target, role: str) -> list[Member]:
    names = (target.name, target.parameter)
    return [member for member in group.members if member.layer in names and member.role == role]


def _places(target: Target, group: Target, role: str) -> int:
    """Rows or columns of a layer that a group's channels take up, as far as they were counted; else its channels."""
    found = _members(target, group, role)
    return max((group.n_units or 0 if one.n_places is None else one.n_places for one in found), default=0)


def _units(target: Target, groups: Sequence[tuple[Target, int]], role: str) -> int:
    """What a layer's rows or columns are counted in: themselves, or channels, of a flattened image each for several."""
    units = sum(_places(target, group, role) for group, _ in groups)
    length = _length(target, role)
    if any(one.n_places is not None for group, _ in groups for one in _members(target, group, role)):
        return max(units, length)
    is_flattened = target.kind in ("Linear", "Conv1D") and units and length % units == 0
    return units if is_flattened else max(units, length)


def _share(target: Target, groups: Sequence[tuple[Target, int]], role: str) -> tuple[float, bool]:
    """Share of a layer's rows or columns that go with channels, and whether that is exact."""
    taken = sum(n * _places(target, group, role) / (group.n_units or 1) for group, n in groups)
    if not taken:
        return 0.0, True
    units = _units(target, groups, role)
    return taken / units, _length(target, role) % units == 0


def _part(target: Target, group: Target, groups: Sequence[tuple[Target, int]]) -> float:
    """Share of a layer's weight that all channels of a group would take."""
    shares = (
        _places(target, group, role) / units
        for role in ("outputs", "inputs")
        if (units := _units(target, groups, role))
    )
    return max(shares, default=0.0)


def _length(target: Target, role: str) -> int:
    """Rows of a layer's weight, or its columns."""
    outputs = OUTPUT_DIM[target.layout]
    dim = outputs if role == "outputs" else 1 - outputs
    return target.shape[dim] if dim < len(target.shape) else 1
