"""What is known of every layer of a network: its share, what cuts cost there, what a plan leaves of it. No torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.graph.network import Network
from core.plans.costs.layers import LayerLeft, layers_left
from core.plans.patterns import looked_up_as
from core.plans.plan import WHOLE, Cut, SparsityPlan
from core.profiling.report import ProfileReport
from core.sensitivity.report import CellResult, Estimate, is_within, largest_within
from core.workload.description import Description
from core.workload.target import Granularity


@dataclass(frozen=True)
class Drop:
    """A measured cell.

    Attributes:
        sparsity: fraction removed, in (0, 1); `None` of a head or a block, which goes whole.
        criterion: by which entries were chosen; `None` of what goes whole.
        drop: in the metric's unit, positive = worse than dense, with its 95 % interval and its number of examples.
    """

    sparsity: float | None
    criterion: str | None
    drop: Estimate


@dataclass(frozen=True)
class Known:
    """What is known of cutting one target.

    Attributes:
        granularity, target: of it.
        limit: the largest measured sparsity up to which every drop is known to stay within the tolerance; of what goes
            whole 1 where that is known. 0 where cells were measured and none is known to; `None` where none was.
        drops: measured, by rising sparsity.
        planned: fraction that the plan removes, 1 for what goes whole; `None` where the plan leaves it alone.
    """

    granularity: Granularity
    target: str
    limit: float | None
    drops: tuple[Drop, ...]
    planned: float | None


@dataclass(frozen=True)
class LayerFacts:
    """What is known of one operation that holds targets.

    Attributes:
        operation: its name in the network.
        weights: entries of the weights that it is the place of; 0 where it only reads what another holds.
        share: of all the model's parameters, in [0, 1].
        outputs, inputs: dense widths, summed over its weights where it holds several; `None` where it has no weight.
        outputs_left, inputs_left: what a smaller model has of them after the plan.
        nonzero: share of the weights that no mask removes, in [0, 1].
        milliseconds: of the dense module in a profile; `None` where none is known.
        known: of each target.
    """

    operation: str
    weights: int
    share: float
    outputs: int | None
    inputs: int | None
    outputs_left: int | None
    inputs_left: int | None
    nonzero: float
    milliseconds: float | None
    known: tuple[Known, ...]

    def of(self, granularity: Granularity) -> tuple[Known, ...]:
        """What is known of its targets of one granularity."""
        return tuple(one for one in self.known if one.granularity == granularity)


def layer_facts(
    network: Network,
    found: Description,
    cells: Iterable[CellResult] = (),
    tolerance: float = 0.0,
    plan: SparsityPlan | None = None,
    profile: ProfileReport | None = None,
) -> tuple[LayerFacts, ...]:
    """What is known of every operation that is the place of a target, as they run.

    Args:
        network, found: of one model.
        cells: measured on it; waiting and failed ones say nothing.
        tolerance: the drop that is accepted, in the metric's unit.
        plan: of the same model; `None` for none.
        profile: of it; of several batch sizes the first counts.
    """
    cells, plan = tuple(cells), plan or SparsityPlan()
    known = {key: _known(key, tolerance, plan, some) for key, some in _by_target(cells).items()}
    left = {one.target.name: one for one in layers_left(plan, found).layers}
    at: dict[str, list[Known]] = {}
    weights: dict[str, list[LayerLeft]] = {}
    for place in network.places:
        if place.operation is None:
            continue
        key = (place.granularity, place.target)
        for operation in (place.operation, *(place.others if place.granularity == "channel" else ())):
            at.setdefault(operation, []).append(known.get(key) or _known(key, tolerance, plan, ()))
        if place.granularity == "weight" and place.target in left:
            weights.setdefault(place.operation, []).append(left[place.target])
    seconds = _seconds(profile)
    paths = {one.name: one.path for one in network.operations}
    told: set[str] = set()  # a module that is called twice has its milliseconds once
    facts = []
    for operation in (one.name for one in network.operations if one.name in at):
        held, path = weights.get(operation, []), paths[operation]
        n = sum(one.target.n_weights for one in held)
        facts.append(
            LayerFacts(
                operation,
                n,
                n / found.n_parameters if found.n_parameters else 0.0,
                sum(one.dense_outputs for one in held) if held else None,
                sum(one.dense_inputs for one in held) if held else None,
                sum(one.outputs for one in held) if held else None,
                sum(one.inputs for one in held) if held else None,
                sum((0.0 if one.is_skipped else one.nonzero) * one.target.n_weights for one in held) / n if n else 1.0,
                None if path in told or path not in seconds else 1000 * seconds[path],
                tuple(at[operation]),
            )
        )
        told.add(path)
    return tuple(facts)


def _by_target(cells: Sequence[CellResult]) -> Mapping[tuple[Granularity, str], list[CellResult]]:
    found: dict[tuple[Granularity, str], list[CellResult]] = {}
    for cell in cells:
        found.setdefault((cell.cut.granularity, cell.cut.target), []).append(cell)
    return found


def _known(key: tuple[Granularity, str], tolerance: float, plan: SparsityPlan, cells: Sequence[CellResult]) -> Known:
    granularity, target = key
    measured = [cell for cell in cells if cell.drop is not None and cell.state == "measured"]
    drops = tuple(
        Drop(cell.cut.sparsity, cell.cut.criterion, cell.drop)
        for cell in sorted(measured, key=lambda cell: (cell.cut.sparsity or 0.0, cell.cut.criterion or ""))
        if cell.drop is not None
    )
    limit: float | None = None
    if measured and granularity in WHOLE:
        limit = 1.0 if any(is_within(cell, tolerance) for cell in measured) else 0.0
    elif measured:
        limit = largest_within(cells, tolerance, granularity).get(target, 0.0)
    return Known(granularity, target, limit, drops, _planned(plan.cuts, key))


def _planned(cuts: Sequence[Cut], key: tuple[Granularity, str]) -> float | None:
    """Also of a pattern of weights, which is cut from the same tensor."""
    named = (cut for cut in cuts if (looked_up_as(cut.granularity), cut.target) == key)
    return next((1.0 if cut.sparsity is None else cut.sparsity for cut in named), None)


def _seconds(profile: ProfileReport | None) -> Mapping[str, float]:
    """Of every module that was timed, at the first batch size."""
    if profile is None or not profile.layers:
        return {}
    first = profile.layers_at(profile.layers[0].batch)
    return {layer.name: layer.seconds for layer in first if layer.seconds is not None}
