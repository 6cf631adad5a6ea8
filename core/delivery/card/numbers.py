"""The numbers of a card, measured while its bundle is written."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from core.delivery.layer_costs import flops_by_module
from core.delivery.memory import bytes_on_disk
from core.errors import SecateurError
from core.plans.plan import Form, SparsityPlan
from core.sensitivity.measurement import Measurement
from core.sensitivity.report import Estimate
from core.sensitivity.slices import slice_drops

COLUMN = "class"  # of the workload's columns, the one that a card tells of
Judged = tuple[nn.Module, Estimate | None, Estimate | None]  # a model, its metric, its drop from the dense model


def variant_rows(measurement: Measurement, models: Mapping[str, Judged]) -> list[dict[str, Any]]:
    """Models side by side, as plain values.

    Args:
        measurement: entered; FLOPs are counted on the first examples of its first batch.
        models: by name, in evaluation mode, on the device of `measurement` or on the CPU.

    Returns:
        Of each its name, metric, drop, parameters (a tied one once), those that are not zero, bytes as safetensors, and
        FLOPs of one example; `None` where they cannot be counted.
    """
    few = tuple(tensor[:2] for tensor in measurement.inputs(0))
    rows = []
    for name, (model, metric, drop) in models.items():
        measurement.check()
        parameters = list(model.parameters())
        rows.append(
            {
                "name": name,
                "metric": asdict(metric) if metric else None,
                "drop": asdict(drop) if drop else None,
                "parameters": sum(parameter.numel() for parameter in parameters),
                "nonzeros": sum(int(parameter.count_nonzero()) for parameter in parameters),
                "bytes": bytes_on_disk(model),
                "flops": _flops(model, few),
            }
        )
    return rows


def class_rows(measurement: Measurement, plan: SparsityPlan) -> list[dict[str, Any]] | None:
    """What a plan costs on each class, paired, the largest drop first.

    Args:
        measurement: entered; the plan was measured by it.
        plan: what was cut.

    Returns:
        Of each class its name, n, metric and drop; `None` if the data name no classes, or no evidence was kept.
    """
    if measurement.store is None:
        return None
    result = {
        "scale": asdict(measurement.workload.metric.scale),
        "batches": measurement.batches.keys,
        "dense_cell": measurement.dense_key,
    }
    try:
        found = slice_drops(measurement.store, result, measurement.cell_key(plan), COLUMN)
    except SecateurError:  # no such column
        return None
    return [
        {
            "class": one.value,
            "n": one.n,
            "metric": asdict(one.metric) if one.metric else None,
            "drop": asdict(one.drop) if one.drop else None,
        }
        for one in found
    ]


def command_of(
    workload_ref: str, form: Form, formats: Iterable[str], opset: int | None, measurement: Measurement
) -> str:
    """What makes the same bundle again, beside its `plan.json`."""
    words = ["secateur", "export", workload_ref, "plan.json", "again", "--form", form, "--format", ",".join(formats)]
    words += ["--opset", str(opset)] if opset is not None else []
    n = measurement.batches.n
    words += ["--samples", "all" if n == len(measurement.workload.evaluation) else str(n)]
    return shlex.join(words)


def _flops(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> float | None:
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            return sum(flops_by_module(model, tuple(tensor.to(device) for tensor in inputs)).values())
    except Exception:  # a model that counting disturbs is still exported
        return None
