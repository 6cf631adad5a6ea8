"""The numbers of a card, measured while its bundle is written."""

import copy
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from core.delivery.card.models import Judged, SideBySide
from core.delivery.formats.facts import FORMATS
from core.delivery.formats.registry import REGISTRY
from core.delivery.formats.subject import Subject
from core.errors import SecateurError
from core.plans.plan import Form, SparsityPlan
from core.profiling.layer_costs import flops_by_module
from core.profiling.memory import bytes_on_disk
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.slices import Scores, SliceDrop, drops_by_value, slice_drops

COLUMN = "class"  # of the workload's columns, the one that a card tells of


def variant_rows(measurement: Measurement, models: Mapping[str, Judged]) -> list[dict[str, Any]]:
    """Models side by side, as plain values.

    Args:
        measurement: entered; FLOPs are counted on the first examples of its first batch.
        models: by name, on the device of `measurement` or on the CPU.

    Returns:
        Of each its name, metric, drop, parameters (a tied one once), those that are not zero, bytes as safetensors and
        FLOPs of one example; `None` where they cannot be counted.
    """
    few = tuple(tensor[:2] for tensor in measurement.inputs(0))
    rows = []
    for name, one in models.items():
        measurement.check()
        rows.append(_row(name, one, one.model, bytes_on_disk(one.model), _flops(one.model, few)))
    return rows


def quantized_rows(beside: SideBySide, subject: Subject, written: Iterable[str], folder: Path) -> list[dict[str, Any]]:
    """What the quantized formats of a bundle score, as they are read back, as plain values like `variant_rows`.

    Args:
        beside: which measures them with the other models.
        subject: that was written.
        written: names of formats.
        folder: of the bundle.

    Returns:
        Of each its format's name, metric, drop from the dense model and bytes of its file. Parameters and FLOPs of a
        graph are not counted.
    """
    rows = []
    for name in written:
        reader, path = REGISTRY[name].reader, folder / FORMATS[name].path
        if reader is None:
            continue
        run = reader(subject, path)
        holds = run if isinstance(run, torch.nn.Module) else None
        rows.append(_row(name, beside.judged(run, subject.model), holds, path.stat().st_size, None))
    return rows


def _row(name: str, one: Judged, holds: torch.nn.Module | None, n_bytes: int, flops: float | None) -> dict[str, Any]:
    """Plain values of one model; `holds` has its parameters, `None` if nobody can count them."""
    parameters = list(holds.parameters()) if holds is not None else []
    return {
        "name": name,
        "metric": asdict(one.metric) if one.metric else None,
        "drop": asdict(one.drop) if one.drop else None,
        "parameters": sum(parameter.numel() for parameter in parameters) if holds is not None else None,
        "nonzeros": sum(int(parameter.count_nonzero()) for parameter in parameters) if holds is not None else None,
        "bytes": n_bytes,
        "flops": flops,
    }


def class_rows(
    measurement: Measurement, plan: SparsityPlan, models: Mapping[str, Judged]
) -> list[dict[str, Any]] | None:
    """What a model lost on each class, paired with the dense one, the largest drop first.

    Args:
        measurement: entered; the plan was measured by it.
        plan: what was cut.
        models: as `variant_rows` has them. Where both the first and the last have scores, these are compared, else the
            evidence of the plan is.

    Returns:
        Of each class its name, n, metric and drop; `None` if the data name no classes, or no evidence was kept.
    """
    first, *_, last = models.values()
    dense, cut = first.scores, last.scores
    if dense is not None and cut is not None:
        return _class_rows_of(measurement, dense, cut)
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
    return _plain(found)


def _class_rows_of(measurement: Measurement, dense: Scores, cut: Scores) -> list[dict[str, Any]] | None:
    of = measurement.workload.all_columns().get(COLUMN)
    if of is None:
        return None
    values = [of[row] for rows in measurement.batches.positions for row in rows]
    _, weights = measurement.dense_scores(range(len(measurement.batches)))
    return _plain(drops_by_value(measurement.workload.metric.scale, COLUMN, values, dense, cut, weights))


def _plain(found: Iterable[SliceDrop]) -> list[dict[str, Any]]:
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
    workload_ref: str,
    form: Form,
    formats: Iterable[str],
    opset: int | None,
    measurement: Measurement,
    batch_only: bool = False,
) -> str:
    """What makes the same bundle again, beside its `plan.json`."""
    words = ["secateur", "export", workload_ref, "plan.json", "again", "--form", form, "--format", ",".join(formats)]
    words += ["--opset", str(opset)] if opset is not None else []
    words += ["--dynamic", "batch"] if batch_only else []
    n = measurement.batches.n
    words += ["--samples", "all" if n == measurement.workload.n_open else str(n)]
    return shlex.join(words)


def _flops(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> float | None:
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            here = copy.deepcopy(model)  # a pass may change buffers, and others are measured after it
            return sum(flops_by_module(here, tuple(tensor.to(device) for tensor in inputs)).values())
    except Exception:  # a model that counting disturbs is still exported
        return None
