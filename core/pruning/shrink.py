"""Shrinking a model by a plan, and making sure that the result does what the masked model does."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from core.plans.plan import SparsityPlan
from core.pruning.criteria.calibration import Calibration
from core.pruning.equality import Difference, compared
from core.pruning.masks import MaskMaker
from core.pruning.skipping import outputs_in_tuples, skipping
from core.pruning.structure import Structure, find_structure
from core.pruning.surgery import shrunk_copy
from core.pruning.wearing import pruned_copy


def shrink(
    model: nn.Module, plan: SparsityPlan, inputs: Sequence[Tensor] | Tensor, calibration: Calibration | None = None
) -> nn.Module:
    """A smaller model that does what `model` does with the plan's masks on.

    Channels, heads and blocks of the plan are gone; single weights are zeros, for a dense tensor has no holes. The
    result is in evaluation mode, has the classes that `model` has (an `nn.MultiheadAttention` that lost heads becomes
    a module of ours, for it cannot hold fewer), trains, and can be exported.

    Args:
        model: dense; not modified.
        plan: made for this model.
        inputs: of a batch to compare on, tensors whose first dimension counts examples, or the one if there is one; the
            more, the surer.
        calibration: what the plan's criteria look at besides the weights, as `Calibration(model, examples, loss)`.

    Raises:
        SecateurError: the plan names an unknown target, would leave nothing of one, or needs calibration data.
        NotEqualError: outputs differ by more than 1e-5 of the largest; names the first layer that does.
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else inputs
    structure = find_structure(model, inputs)
    maker = MaskMaker(model, structure.targets, structure.groups, calibration)
    shrunk = shrunk_by(model, plan, structure, maker, inputs)
    equal(model, shrunk, plan, maker, [inputs])
    return shrunk


def shrunk_by(
    model: nn.Module, plan: SparsityPlan, structure: Structure, maker: MaskMaker, inputs: Sequence[Tensor]
) -> nn.Module:
    """The shrunk model, in evaluation mode, not compared yet.

    Args:
        model: dense; not modified.
        plan: what to remove.
        structure: of the model.
        maker: of masks on it, which knows the structure's groups.
        inputs: of a small batch, to see what blocks give.

    Raises:
        SecateurError: as `shrink`; or a block gives what it does not take, so that it cannot be skipped.
    """
    blocks = [cut.target for cut in plan.cuts if cut.granularity == "block"]
    for cut in plan.cuts:
        maker.target_of(cut)
    in_tuple = outputs_in_tuples(model, blocks, inputs) if blocks else {}
    return shrunk_copy(model, plan, maker, structure.heads, in_tuple).eval()


def equal(
    model: nn.Module, shrunk: nn.Module, plan: SparsityPlan, maker: MaskMaker, batches: Sequence[Sequence[Tensor]]
) -> Difference:
    """How far a shrunk model is from the masked one; as `compared`, with the masks of a plan put on a copy."""
    copy = pruned_copy(model, maker.cut_tensors(plan, skipping=True)).eval()
    with torch.inference_mode(), skipping(copy, [c.target for c in plan.cuts if c.granularity == "block"]):
        return compared(copy, shrunk, batches)
