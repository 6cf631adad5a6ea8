"""Uniform plans: the same fraction of every layer, coupled group or attention."""

import re
from collections.abc import Mapping, Sequence

from torch import nn

from core.errors import SecateurError
from core.plans.checked import checked_align, checked_pattern, checked_sparsity, n_removed
from core.plans.criteria import checked_criterion
from core.plans.criteria import why_not as no_meaning
from core.plans.plan import DEFAULT_CRITERION, HEADS, Cut, SparsityPlan
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
            the last head stay. Where query heads share keys and values whole groups go first, then equally many query
            heads of each that is left.
        pattern: in which weights go, `"2:4"` or `"4x4"`; layers that it does not fit stay.
        criterion: chooses weights and channels; heads by the scores of the columns that read them, or by their own. A
            layer or group that it does not fit stays.
        align: as in `Cut`.
        layers: regular expression, searched in the names of targets.
        workload: for the plan's note.
        calibration: what a criterion that chooses heads may look at besides the weights.

    Raises:
        SecateurError: a fraction outside [0, 1), an unknown criterion or one that fits nothing of a kind, calibration
            data that are missing, or a plan that would cut nothing of a kind that was asked for.
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
    _check_wishes(
        structure, matching, cuts, {"weight": weights or 0.0, "channel": channels, "head": heads}, asked, align
    )
    return SparsityPlan(tuple(cuts), workload)


def _check_wishes(
    structure: Structure,
    matching: Sequence[Target],
    cuts: Sequence[Cut],
    wishes: Mapping[str, float],
    asked: Mapping[str, bool],
    align: int,
) -> None:
    """Raises `SecateurError` if something was asked for of which the plan has nothing."""
    done = {
        "head" if cut.granularity in HEADS else "channel" if cut.granularity == "channel" else "weight" for cut in cuts
    }
    for kind in ("weight", "channel", "head"):
        if not asked[kind] or kind in done:
            continue
        found = [target for target in matching if target.granularity == kind]
        refused = [item.reason for item in structure.uncuttable if item.name.startswith(f"{kind}s of")]
        if not found and any(target.granularity == kind for target in structure.targets):
            why = f"no target with {kind}s is among those that were chosen; choose others with --layers"
        elif not found:
            why = f"none can go ({refused[0]})" if refused else "the model has none that can go"
            why += f"; leave {kind}s out of the plan"
        elif kind == "channel":
            reasons = [reason for target in found if (reason := why_not(target, wishes[kind], align))]
            why = f"{reasons[0] if reasons else 'none can lose so much'}; give a larger fraction or a smaller alignment"
        elif kind == "head":
            most = max(sum(target.layer == one.layer for target in found) for one in found)
            why = f"{wishes[kind]:g} of the {most} heads of an attention rounds to none; give a larger fraction"
        else:
            why = "none of the layers can lose so much, or the pattern fits none; see `secateur targets`"
        raise SecateurError(f"the plan would cut nothing of the {kind}s that were asked for: {why}")
    if not cuts:
        raise SecateurError(
            "the plan would cut nothing: it was not said what goes; give a fraction of weights, channels or heads"
        )


def _least_heads(maker: MaskMaker, targets: list[Target], sparsity: float, criterion: str) -> list[Cut]:
    """Of every attention the heads of the smallest scores.

    Where query heads share keys and values whole groups go, as many as come closest; if less than asked for is gone
    then, equally many query heads of each group that is left.
    """
    layers: dict[str | None, dict[str, list[Target]]] = {}
    for target in targets:
        if target.granularity in HEADS:
            layers.setdefault(target.layer, {}).setdefault(target.granularity, []).append(target)
    cuts = []
    for kinds in layers.values():
        heads, groups = kinds.get("head", []), kinds.get("kv_group", [])
        whole: list[int] = []
        if groups:
            whole = _least(maker, criterion, groups, min(n_removed(sparsity, len(groups)), len(groups) - 1))
            cuts += [Cut(groups[i].name, "kv_group") for i in whole]
        n_parts = max(1, len(groups))
        if not heads or len(heads) % n_parts:
            continue
        per_part = len(heads) // n_parts
        left = [part for part in range(n_parts) if part not in whole]
        rest = min(n_removed(sparsity, len(heads)), len(heads) - 1) - len(whole) * per_part
        each = min(max(0, round(rest / len(left))), per_part - 1)
        for part in left if each else ():
            own = heads[part * per_part : (part + 1) * per_part]
            cuts += [Cut(own[i].name, "head") for i in _least(maker, criterion, own, each)]
    return cuts


def _least(maker: MaskMaker, criterion: str, targets: Sequence[Target], n: int) -> list[int]:
    """Which `n` of the heads, or groups, of one attention are worth least; ascending, ties by position."""
    return sorted(maker.head_scores(criterion, targets).argsort(stable=True)[:n].tolist())
