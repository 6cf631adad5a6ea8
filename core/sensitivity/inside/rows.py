"""The neighbours of a plan: each row given back, and each a step further. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from core.errors import SecateurError
from core.plans.costs.left import KINDS, Kind, plan_cost
from core.plans.costs.savings import SavedTime
from core.plans.patterns import is_pattern, parse_pattern
from core.plans.plan import Cut, SparsityPlan
from core.plans.units import CannotCutError, n_units_removed
from core.sensitivity.request import DEFAULT_SPARSITIES
from core.workload.description import Description
from core.workload.target import Target

Place = tuple[str, str, str | None, int]  # of a cut, all but how much


@dataclass(frozen=True)
class Neighbours:
    """What is measured around one row of a plan.

    Attributes:
        cut: the row.
        without: the plan without it.
        step: the row a step further; `None` of what goes whole, and where there is nothing further.
        further: the plan with that.
    """

    cut: Cut
    without: SparsityPlan
    step: Cut | None = None
    further: SparsityPlan | None = None


def neighbours(
    plan: SparsityPlan, targets: Iterable[Target], swept: Iterable[Cut] = (), further: bool = True
) -> tuple[Neighbours, ...]:
    """Of every row of a plan, in the order of its lines.

    A step further is the next sparsity that a sweep measured of the same target by the same criterion; where none was,
    the next that a sweep measures by default.

    Args:
        plan: of these targets.
        targets: of the model.
        swept: cuts that sweeps have measured.
        further: whether steps further are wanted.
    """
    known: dict[Place, set[float]] = {}
    for cut in swept:
        if cut.sparsity is not None:
            known.setdefault(_place(cut), set()).add(cut.sparsity)
    groups = {target.name: target for target in targets if target.granularity == "channel"}
    found = []
    for at, cut in enumerate(plan.cuts):
        others = (*plan.cuts[:at], *plan.cuts[at + 1 :])
        step = _step(cut, groups.get(cut.target), known.get(_place(cut))) if further else None
        moved = replace(plan, cuts=(*plan.cuts[:at], step, *plan.cuts[at + 1 :])) if step is not None else None
        found.append(Neighbours(cut, replace(plan, cuts=others), step, moved))
    return tuple(found)


def _place(cut: Cut) -> Place:
    return cut.granularity, cut.target, cut.criterion, cut.align


def _step(cut: Cut, group: Target | None, swept: set[float] | None) -> Cut | None:
    if cut.sparsity is None or (is_pattern(cut.granularity) and not parse_pattern(cut.granularity).is_tiles):
        return None
    for sparsity in sorted(swept or DEFAULT_SPARSITIES):
        if sparsity > cut.sparsity + 1e-9 and (cut.granularity != "channel" or _takes_more(cut, group, sparsity)):
            return replace(cut, sparsity=sparsity)
    return None


def _takes_more(cut: Cut, group: Target | None, sparsity: float) -> bool:
    """Whether a cut of channels takes more of them: small groups have few different ones."""
    if group is None or cut.sparsity is None:
        return False
    try:
        return n_units_removed(group, sparsity, cut.align) > n_units_removed(group, cut.sparsity, cut.align)
    except CannotCutError:
        return False


def cost_between(
    less: SparsityPlan, more: SparsityPlan, found: Description, saved: SavedTime | None = None
) -> dict[Kind, float]:
    """What one plan leaves more than another, as fractions of the dense model's; costs that are not known are left out.

    Args:
        less: cuts less.
        more: cuts more.
        found: the model.
        saved: what time cuts save; without it milliseconds are left out.
    """
    shares: dict[Kind, float] = {}
    for kind in KINDS:
        try:
            left, rest, whole = (plan_cost(plan, found, kind, saved).value for plan in (less, more, SparsityPlan()))
        except SecateurError:  # operations of some models cannot be counted
            continue
        if whole:
            shares[kind] = (left - rest) / whole
    return shares


def cost_of(plan: SparsityPlan) -> Kind:
    """The cost that rows of a plan are set beside unless somebody asks for another: what its cuts are made for."""
    is_zeros = all(cut.granularity == "weight" or is_pattern(cut.granularity) for cut in plan.cuts)
    return "nonzeros" if is_zeros else "parameters"


def checked_cost(asked: Kind | None, plan: SparsityPlan, found: Description, saved: SavedTime | None) -> Kind:
    """The cost that was asked for, if it can be counted and the plan saves any of it; else `cost_of`.

    Raises:
        SecateurError: it cannot be counted of this model, or no row has any to give back.
    """
    if asked is None:
        return cost_of(plan)
    dense, left = (plan_cost(one, found, asked, saved).value for one in (SparsityPlan(), plan))
    if dense == left:
        why = "single zeros save no time" if asked == "milliseconds" else "its rows take none away"
        raise SecateurError(
            f"the plan saves no {asked} ({why}), so no row has any to give back; choose another --cost, "
            f"{cost_of(plan)} say"
        )
    return asked
