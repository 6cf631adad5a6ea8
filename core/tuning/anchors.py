"""Anchors: a few whole plans that are worth measuring, because they tell how cuts interact."""

import random
from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from core.errors import SecateurError
from core.plans.costs.left import Kind
from core.plans.plan import FRACTIONAL, Cut, SparsityPlan
from core.plans.prediction import Family, HarmCurve, Predictor, family_of
from core.tuning.goal import Goal, solve
from core.tuning.request import N_ANCHORS
from core.workload.description import Description
from core.workload.target import Granularity

UNIFORM_PART = 3  # one of so many anchors is uniform, the others are the solver's
# what a solver is asked to save where it makes anchors, by what they cut; patterns it can't choose
SAVED: Mapping[Family, Kind] = MappingProxyType(
    {"weights": "nonzeros", "structure": "parameters", "blocks": "parameters"}
)
LEAST, MOST = 0.03, 1.5  # summed harm of the first and the last, as parts of the worst that any single cut does
STEPS = 40  # of halving


def calibrating_plans(
    predictor: Predictor,
    found: Description,
    granularities: Collection[Granularity] | None = None,
    n: int = N_ANCHORS,
    seed: int = 0,
) -> tuple[SparsityPlan, ...]:
    """Plans to measure, of each family of cuts its own: some uniform, most as the solver makes them.

    The solver's plans do more harm than uniform ones whose cuts add up to as much: it takes what looks free, and loads
    many layers to where they are about to break. A prediction that is to hold for its plans has to have seen some.

    Args:
        predictor: of the model.
        found: the model.
        granularities: of what is cut; `None` for all that were measured to do harm.
        n: of each family, at most; ones that turn out equal count once.
        seed: of the draw.

    Returns:
        Family by family, the mildest first of each kind of plan; none where nothing of these was measured.
    """
    swept = {curve.granularity for curve in predictor.curves.values() if curve.harm[-1] > 0}
    wanted = [one for one in (granularities or sorted(swept)) if one in swept]
    plans: list[SparsityPlan] = []
    for family in dict.fromkeys(map(family_of, wanted)):
        of_family = [one for one in wanted if family_of(one) == family]
        solved = _solved_plans(predictor, found, of_family, family, n - n // UNIFORM_PART)
        plans += anchor_plans(predictor, of_family, n - len(solved), seed)
        plans += solved
    return tuple(plan for plan in dict.fromkeys(plans) if len(plan.cuts) > 1)  # one cut alone was swept already


def _solved_plans(
    predictor: Predictor, found: Description, granularities: Collection[Granularity], family: Family, n: int
) -> list[SparsityPlan]:
    """The solver's plans from nearly harmless to ruinous; none where it can't make any of these cuts."""
    worst = max((c.harm[-1] for c in predictor.curves.values() if c.granularity in granularities), default=0.0)
    if family not in SAVED or worst <= 0:
        return []
    goal = Goal(SAVED[family], tolerance=1.0)
    plans = []
    for total in np.geomspace(LEAST * worst, MOST * worst, n).tolist():
        try:
            plans.append(solve(goal, predictor, found, granularities=granularities, max_harm=total).plan)
        except SecateurError:  # such as costs that are not known of this model: then uniform ones have to do
            return []
    return [plan for plan in plans if plan.cuts]


def anchor_plans(
    predictor: Predictor, granularities: Collection[Granularity], n: int = N_ANCHORS, seed: int = 0
) -> tuple[SparsityPlan, ...]:
    """Uniform plans from nearly harmless to ruinous, their summed harm in equal ratios.

    Args:
        predictor: whose curves are cut; a target with several takes the first.
        granularities: of what is cut. Layers and groups lose the same fraction of each; of heads and blocks as many go,
            drawn at random, as make up the rest.
        n: how many at most; ones that turn out equal count once.
        seed: of the draw.

    Returns:
        Plans, the mildest first; none where nothing of these granularities was measured.
    """
    chosen: dict[tuple[Granularity, str], HarmCurve] = {}
    for curve in predictor.curves.values():
        if curve.granularity in granularities:
            chosen.setdefault((curve.granularity, curve.target), curve)
    fractional = [curve for curve in chosen.values() if curve.granularity in FRACTIONAL]
    whole = [curve for curve in chosen.values() if curve.granularity not in FRACTIONAL]
    random.Random(seed).shuffle(whole)
    worst = max((curve.harm[-1] for curve in chosen.values()), default=0.0)
    if worst <= 0:
        return ()
    plans = [_reaching(fractional, whole, total) for total in np.geomspace(LEAST * worst, MOST * worst, n).tolist()]
    return tuple(dict.fromkeys(replace(plan, repair=predictor.repair) for plan in plans if plan.cuts))


def _reaching(fractional: list[HarmCurve], whole: list[HarmCurve], total: float) -> SparsityPlan:
    """The mildest uniform plan that does so much harm, or all there is."""
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if sum(cut_harm for _, cut_harm in _cuts(fractional, whole, middle)) < total:
            low = middle
        else:
            high = middle
    return SparsityPlan(tuple(cut for cut, _ in _cuts(fractional, whole, high)))


def _cuts(fractional: list[HarmCurve], whole: list[HarmCurve], share: float) -> list[tuple[Cut, float]]:
    """Cuts of a uniform plan, with what each does alone: nothing beyond what was measured."""
    cuts = []
    for curve in fractional:
        sparsity = min(round(share, 4), curve.sparsities[-1])
        cuts.append((Cut(curve.target, curve.granularity, sparsity, curve.criterion, curve.align), curve.at(sparsity)))
    for curve in whole[: round(share * len(whole))]:
        cut = Cut(curve.target, curve.granularity, None, curve.criterion, curve.align)
        cuts.append((cut, curve.harm[-1]))
    return cuts
