"""The models that a profile compares: the dense one and what a plan makes of it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import nn

from core.plans.plan import Cut, SparsityPlan
from core.pruning.masks import MaskMaker, pruned_copy
from core.workload.discovery import find_targets
from core.workload.workload import Workload

DENSE = "dense"


def variants(workload: Workload, plan: SparsityPlan | None) -> dict[str, nn.Module]:
    """Models by name, the dense one first: `"dense"`, and with a plan that cuts something `"masked"`.

    Raises:
        SecateurError: the plan names a target that the model has not.
    """
    models = {DENSE: workload.model}
    if plan is not None and plan.cuts:
        maker = MaskMaker(workload.model, find_targets(workload.model)[0])
        models["masked"] = pruned_copy(workload.model, maker.masks(plan))
    return models


def single_cuts(workload: Workload, sparsities: Sequence[float]) -> Mapping[tuple[str, float], Callable[[], nn.Module]]:
    """By target and sparsity, how to make the model with that one cut: made when it is its turn, and thrown away."""
    targets = [target for target in find_targets(workload.model)[0] if target.granularity == "weight"]
    maker = MaskMaker(workload.model, targets)

    def cut(name: str, sparsity: float) -> nn.Module:
        return pruned_copy(workload.model, maker.masks(SparsityPlan((Cut(name, "weight", sparsity),))))

    return {(target.name, s): partial(cut, target.name, s) for target in targets for s in sparsities}
