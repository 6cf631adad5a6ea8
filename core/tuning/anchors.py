"""Anchors: a few whole plans that are worth measuring, because they tell how cuts interact."""

import random
from collections.abc import Collection

import numpy as np

from core.plans.plan import FRACTIONAL, Cut, SparsityPlan
from core.plans.prediction import HarmCurve, Predictor
from core.workload.target import Granularity

N_ANCHORS = 6
LEAST, MOST = 0.03, 1.5  # summed harm of the first and the last, as parts of the worst that any single cut does
STEPS = 40  # of halving


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
    return tuple(dict.fromkeys(plan for plan in plans if plan.cuts))


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
