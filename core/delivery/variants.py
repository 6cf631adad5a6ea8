"""The models that a profile compares: the dense one and what a plan makes of it."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import nn

from core.plans.plan import Cut, SparsityPlan
from core.plans.units import CannotCutError
from core.pruning.masks import MaskMaker, pruned_copy
from core.pruning.shrink import shrunk_by
from core.pruning.structure import EXAMPLES, find_structure
from core.workload.discovery import find_targets
from core.workload.workload import Workload

DENSE = "dense"
STRUCTURAL = {"channel", "head", "kv_group", "block"}  # what can be taken out


def variants(workload: Workload, plan: SparsityPlan | None) -> dict[str, nn.Module]:
    """Models by name, the dense one first: `"dense"`, with a plan that cuts something `"masked"`, and `"shrunk"`.

    There is no masked model of a plan that skips blocks, and no shrunk one where nothing can be taken out.

    Raises:
        SecateurError: the plan names a target that the model has not.
    """
    models = {DENSE: workload.model}
    if plan is None or not plan.cuts:
        return models
    kinds = {cut.granularity for cut in plan.cuts}
    inputs = tuple(workload.evaluation.inputs)
    structure = find_structure(workload.model, inputs) if kinds & STRUCTURAL else None
    if structure is None:
        maker = MaskMaker(workload.model, find_targets(workload.model)[0])
    else:
        maker = MaskMaker(workload.model, structure.targets, structure.groups)
    if "block" not in kinds:
        models["masked"] = pruned_copy(workload.model, maker.masks(plan))
    if structure is not None:
        few = tuple(tensor[:EXAMPLES] for tensor in inputs)
        with contextlib.suppress(CannotCutError):  # heads of an attention that cannot be taken apart
            models["shrunk"] = shrunk_by(workload.model, plan, structure, maker, few)
    return models


def single_cuts(workload: Workload, sparsities: Sequence[float]) -> Mapping[tuple[str, float], Callable[[], nn.Module]]:
    """By target and sparsity, how to make the model with that one cut: made when it is its turn, and thrown away."""
    targets = [target for target in find_targets(workload.model)[0] if target.granularity == "weight"]
    maker = MaskMaker(workload.model, targets)

    def cut(name: str, sparsity: float) -> nn.Module:
        return pruned_copy(workload.model, maker.masks(SparsityPlan((Cut(name, "weight", sparsity),))))

    return {(target.name, s): partial(cut, target.name, s) for target in targets for s in sparsities}
