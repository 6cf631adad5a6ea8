"""The model that a plan makes of a workload's, masked or shrunk: made anew, neither measured nor compared."""

from torch import nn

from core.plans.plan import Form, SparsityPlan
from core.pruning.shrink import shrunk_by
from core.pruning.structure import EXAMPLES
from core.pruning.wearing import pruned_copy
from core.sensitivity.measuring.measurement import Measurement
from core.workload.workload import Workload

FEW = 2 * EXAMPLES  # evaluation examples that finding the coupled channels looks at


def rebuilt(workload: Workload, plan: SparsityPlan, form: Form) -> nn.Module:
    """What a bundle of that plan holds, if the workload's model is the one that it was cut from.

    Args:
        workload: its model stays as it is.
        plan: what to cut.
        form: `"masked"` or `"shrunk"`.

    Raises:
        SecateurError: the plan cannot be applied.
    """
    with Measurement(workload, None, min(FEW, len(workload.evaluation))) as measurement:
        measurement.prepare(plan)
        if form == "masked":
            return pruned_copy(workload.model, measurement.maker.cut_tensors(plan)).eval()
        few = tuple(tensor[:EXAMPLES] for tensor in measurement.inputs(0))
        return shrunk_by(workload.model, plan, measurement.structure(), measurement.maker, few)
