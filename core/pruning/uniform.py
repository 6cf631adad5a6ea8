"""Uniform plans: the same fraction of every layer, coupled group or attention."""

import re

from torch import nn

from core.errors import SecateurError
from core.plans.checked import checked_align, checked_pattern, checked_sparsity, n_removed
from core.plans.criteria import checked_criterion
from core.plans.criteria import why_not as no_meaning
from core.plans.plan import DEFAULT_CRITERION, Cut, SparsityPlan
from core.plans.units import why_not
from core.pruning.criteria.calibration import Calibration
from core.pruning.masks import MaskMaker
from core.pruning.structure import Structure
from core.workload.target import Target


def uniform_plan(
    model: nn.Module,
    structure: Structure,
    *,
    weights: float | None = None,
    channels: float = 0.0,
    heads: float = 0.0,
    pattern: str | None = None,
    criterion: str = DEFAULT_CRITERION,
    align: int = 1,
    layers: str = "",
    workload: str | None = None,
    calibration: Calibration | None = None,
) -> SparsityPlan:
    """A plan that cuts everything of a kind alike.

    Args:
        model: dense; only read.
        structure: of it.
        weights, channels, heads: fractions removed, each in [0, 1), of every layer's weights, of every coupled group's
            channels, of every attention's heads. A group that cannot lose so much (an alignment, a single channel) and
            the last head stay.
        pattern: in which weights go, `"2:4"` or `"4x4"`; layers that it does not fit stay.
        criterion: chooses weights and channels; heads by the scores of the columns that read them, or by their own. A
            layer or group that it does not fit stays.
        align: as in `Cut`.
        layers: regular expression, searched in the names of targets.
        workload: for the plan's note.
        calibration: what a criterion that chooses heads may look at besides the weights.

    Raises:
        SecateurError: a fraction outside [0, 1), an unknown criterion or one that fits nothing of a kind, calibration
            data that are missing, or a plan that would cut nothing.
    """
    for sparsity in (weights or 0.0, channels, heads):
        checked_sparsity(sparsity)
    checked_align(align)
    checked_pattern(layers)
    checked_criterion(criterion)
    matching = [target for target in structure.targets if re.search(layers, target.name)]
    asked = {"weight": bool(weights) or pattern is not None, "channel": bool(channels), "head": bool(heads)}
    for granularity in (name for name, is_asked in asked.items() if is_asked):
        cut_as = pattern if granularity == "weight" else None
        reasons = [no_meaning(criterion, t, cut_as) for t in matching if t.granularity == granularity]
        if reasons and all(reasons):
            raise SecateurError(f"{reasons[0]}; choose another criterion")
    cuts: list[Cut] = []
    if pattern is not None:
        cuts += SparsityPlan.patterned(matching, pattern, weights, criterion).cuts
    elif weights:
        cuts += SparsityPlan.uniform(matching, weights, criterion).cuts
    for target in matching:
        if target.granularity != "channel" or not channels or no_meaning(criterion, target):
            continue
        if why_not(target, channels, align) is None:
            cuts.append(Cut(target.name, "channel", channels, criterion, align))
    if heads:
        maker = MaskMaker(model, structure.targets, structure.groups, calibration)
        cuts += _least_heads(maker, matching, heads, criterion)
    if not cuts:
        raise SecateurError(
            "the plan would cut nothing: no target of that kind matches, or none can lose so much; "
            "see `secateur targets`, and give a larger fraction"
        )
    return SparsityPlan(tuple(cuts), workload)


def _least_heads(maker: MaskMaker, targets: list[Target], sparsity: float, criterion: str) -> list[Cut]:
    """Of every attention the heads of the smallest scores; whole key/value groups where query heads share them."""
    shared = {target.layer for target in targets if target.granularity == "kv_group"}
    layers: dict[str | None, list[Target]] = {}
    for target in targets:
        if target.granularity == ("kv_group" if target.layer in shared else "head"):
            layers.setdefault(target.layer, []).append(target)
    cuts = []
    for found in layers.values():
        worth = maker.head_scores(criterion, found)
        gone = worth.argsort(stable=True)[: min(n_removed(sparsity, len(found)), len(found) - 1)]
        cuts += [Cut(found[i].name, found[i].granularity) for i in sorted(gone.tolist())]
    return cuts
