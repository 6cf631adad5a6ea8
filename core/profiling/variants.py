"""The models that a profile compares: the dense one and what a plan makes of it."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import nn

from core.errors import SecateurError
from core.plans.plan import Cut, SparsityPlan
from core.pruning.criteria.calibration import Calibration
from core.pruning.masks import MaskMaker
from core.pruning.shrink import equal, shrunk_by
from core.pruning.structure import EXAMPLES, find_structure
from core.pruning.uniform import uniform_plan
from core.pruning.wearing import pruned_copy
from core.workload.workload import Workload

DENSE = "dense"


def variants(workload: Workload, plan: SparsityPlan | None) -> dict[str, nn.Module]:
    """Models by name, the dense one first: `"dense"`, and with a plan that cuts something `"masked"` and `"shrunk"`.

    A plan that skips blocks cannot be masked, and one of single weights alone has nothing to shrink.

    Raises:
        SecateurError: the plan names a target that the model has not, or the shrunk model differs from the masked one.
    """
    models = {DENSE: workload.model}
    if plan is None or not plan.cuts:
        return models
    few = tuple(tensor[:EXAMPLES].clone() for tensor in workload.evaluation.inputs)
    structure = find_structure(workload.model, few)
    maker = MaskMaker(workload.model, structure.targets, structure.groups, Calibration.of(workload))
    if "masked" in plan.forms:
        models["masked"] = pruned_copy(workload.model, maker.cut_tensors(plan))
    if "shrunk" in plan.forms:
        models["shrunk"] = shrunk_by(workload.model, plan, structure, maker, few)
        equal(workload.model, models["shrunk"], plan, maker, [few])
    return models


def single_cuts(workload: Workload, sparsities: Sequence[float]) -> Mapping[tuple[str, float], Callable[[], nn.Module]]:
    """By target and sparsity, how to make the model that lost this and nothing else: coupled groups and attentions.

    Each is made when it is its turn, and thrown away. Attentions go by the name of the module, and lose heads. Single
    weights are not among them: their zeros take as long as any number.
    """
    if not sparsities:
        return {}
    model = workload.model
    few = tuple(tensor[:EXAMPLES].clone() for tensor in workload.evaluation.inputs)
    structure = find_structure(model, few)
    maker = MaskMaker(model, structure.targets, structure.groups)

    def cut(plan: SparsityPlan) -> nn.Module:
        return shrunk_by(model, plan, structure, maker, few)

    plans: dict[tuple[str, float], SparsityPlan] = {}
    for sparsity in sparsities:
        for name in structure.groups:
            plans[name, sparsity] = SparsityPlan((Cut(name, "channel", sparsity),))
        for path in structure.heads:
            whole = f"^{re.escape(path)}:"
            try:
                plans[path, sparsity] = uniform_plan(model, structure, heads=sparsity, layers=whole)
            except SecateurError:  # it rounds to no head
                continue
    return {key: partial(cut, plan) for key, plan in plans.items() if _cuts_something(plan, maker)}


def _cuts_something(plan: SparsityPlan, maker: MaskMaker) -> bool:
    """Whether a cut removes any channel, and leaves some."""
    try:
        return all(cut.granularity != "channel" or maker.units(cut)[1] for cut in plan.cuts)
    except SecateurError:
        return False
