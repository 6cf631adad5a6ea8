"""Operations of one example by what can be cut, for `core.workload.description`."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from core.profiling.layer_costs import FUSED_ATTENTION, Meter, counted_flops
from core.workload.description import products_of
from core.workload.kept_state import trial_copy
from core.workload.target import Target
from core.workload.workload import Workload

EXAMPLES = 2  # counted together: a model may refuse a batch of one
PRODUCTS = (
    torch.ops.aten.bmm,
    torch.ops.aten.baddbmm,
    FUSED_ATTENTION,
)  # of two activations; weights are multiplied by mm and addmm


def flops_by_target(workload: Workload, targets: Sequence[Target]) -> dict[str, float]:
    """Operations of one example, as `Description.flops` keeps them, counted on a copy; empty if that fails."""
    inputs = tuple(tensor[:EXAMPLES].clone() for tensor in workload.evaluation.inputs)
    try:
        with redirect_stdout(sys.stderr):  # what a model prints is no answer of ours
            return _counted(trial_copy(workload.model, inputs), inputs, targets)
    except Exception:  # whatever a model does under a counter: it can be swept all the same, and FLOPs are not known
        return {}


def _counted(model: nn.Module, inputs: Sequence[Tensor], targets: Sequence[Target]) -> dict[str, float]:
    with counted_flops() as counter:

        def products() -> float:
            counts: Mapping[Any, int] = counter.flop_counts.get("Global", {})
            return float(sum(n for operation, n in counts.items() if operation in PRODUCTS))

        with (
            Meter(model, lambda: float(counter.get_total_flops())) as all_of,
            Meter(model, products) as without_weights,
        ):
            model(*inputs)
    n = len(inputs[0])
    owners: dict[str, list[Target]] = {}
    for target in targets:
        if target.granularity == "weight":
            for name in (target.parameter, *target.shared_with):
                owners.setdefault(_called(name.rpartition(".")[0], all_of.own), []).append(target)
    found: dict[str, float] = {}
    for path, flops in all_of.own.items():
        multiplied = without_weights.own[path]
        if multiplied:
            found[products_of(path)] = multiplied / n
        if flops > multiplied:
            # several weights of one module, as torch's attention has, see the same tokens: by size, that is
            own = [target for target in owners.get(path, ()) if target.layout != "looked_up" or target.shared_with]
            size = sum(target.n_weights for target in own)
            for target in own:
                share = (flops - multiplied) * target.n_weights / size / n
                found[target.name] = found.get(target.name, 0.0) + share
            if not own:
                found[path or "model"] = (flops - multiplied) / n
    return found


def _called(path: str, called: Mapping[str, float]) -> str:
    """The nearest module around a weight that is called: torch's attention never calls its output projection."""
    while path and path not in called:
        path = path.rpartition(".")[0]
    return path
