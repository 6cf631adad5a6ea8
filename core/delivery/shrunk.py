"""A workload's model made smaller, compared with the masked one and measured on the evaluation data."""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.plans.patterns import is_pattern
from core.plans.plan import SparsityPlan
from core.pruning.equality import Difference, compared
from core.pruning.shrink import shrunk_by
from core.pruning.skipping import skipping
from core.pruning.structure import EXAMPLES
from core.pruning.wearing import pruned_copy
from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Outcome


@dataclass(frozen=True)
class Shrunk:
    """A model from which the cuts of a plan are gone.

    Attributes:
        model: in evaluation mode, on the workload's device.
        difference: of its outputs from those of the masked model, on all examples that were measured on.
        outcome: its metric and paired drop, measured on itself.
        n_parameters, n_dense: entries of its parameters and of the dense model's, tied ones counted once.
        notes: what holds of the masked model and not of this one.
        n_other: examples of which the score is another than the masked model's by more than rounding (1e-5).
    """

    model: nn.Module = field(repr=False)
    difference: Difference
    outcome: Outcome
    n_parameters: int
    n_dense: int
    n_other: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the model."""
        outcome = self.outcome
        return {
            "difference": asdict(self.difference),
            "parameters": self.n_parameters,
            "dense_parameters": self.n_dense,
            "other_scores": self.n_other,
            "notes": list(self.notes),
            "metric": asdict(outcome.metric) if outcome.metric else None,
            "drop": asdict(outcome.drop) if outcome.drop else None,
        }


def shrunk_workload(
    measurement: Measurement, plan: SparsityPlan, load: Callable[[nn.Module], None] | None = None
) -> Shrunk:
    """Shrink the model of a measurement, and measure what came out.

    Args:
        measurement: entered; the examples to compare and to measure on.
        plan: what to remove.
        load: called with the shrunk model before it is compared, e.g. to give it weights from a file.

    Raises:
        SecateurError: the plan cannot be applied, as `shrink`.
        NotEqualError: the outputs of some batch differ from the masked model's; names the first layer that does.
        Cancelled: as the measurement's `check` says.
    """
    model, structure = measurement.workload.model, measurement.structure()
    measurement.dense()
    few = tuple(tensor[:EXAMPLES] for tensor in measurement.inputs(0))
    shrunk = shrunk_by(model, plan, structure, measurement.maker, few)
    if load is not None:
        load(shrunk)
    masked = pruned_copy(model, measurement.maker.cut_tensors(plan, skipping=True)).eval()
    dense = copy.deepcopy(model).eval() if measurement.workload.metric.against == "dense" else None
    largest, n_other = 0.0, 0
    evidence: dict[int, BatchEvidence] = {}
    blocks = [cut.target for cut in plan.cuts if cut.granularity == "block"]
    with torch.inference_mode(), skipping(masked, blocks):
        for i, inputs in _batches(measurement):
            difference = compared(masked, shrunk, [inputs])
            reference = dense(*inputs) if dense else measurement.labels(i)
            start = time.perf_counter()
            ours = _scores(measurement, shrunk(*inputs), reference, i)
            seconds = time.perf_counter() - start
            theirs = _scores(measurement, masked(*inputs), reference, i)
            n_other += int((~np.isclose(ours, theirs, rtol=1e-5, atol=1e-5, equal_nan=True)).sum())
            largest = max(largest, difference.largest)
            evidence[i] = BatchEvidence(ours, changed=bool(plan.cuts), seconds=seconds)
    return Shrunk(
        shrunk,
        Difference(largest, measurement.batches.n),
        measurement.outcome(evidence, reused=False),
        _n_parameters(shrunk),
        _n_parameters(model),
        n_other,
        _notes(plan, model, shrunk, measurement),
    )


def _notes(plan: SparsityPlan, dense: nn.Module, shrunk: nn.Module, measurement: Measurement) -> tuple[str, ...]:
    """Patterns that are none any more: what was taken out of a layer shifts the groups that they were made in."""
    there = dict(shrunk.named_parameters(remove_duplicate=False))
    notes = []
    for cut in plan.cuts:
        name = measurement.maker.target_of(cut).parameter
        if is_pattern(cut.granularity) and (name not in there or there[name].shape != dense.get_parameter(name).shape):
            notes.append(
                f"{cut.target} was cut as {cut.granularity} and lost channels as well, so its zeros are no longer in "
                "that pattern; shrink first, then cut the result by the pattern"
            )
    return tuple(notes)


def _batches(measurement: Measurement) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    for i in range(len(measurement.batches)):
        measurement.check()
        yield i, measurement.inputs(i)


def _scores(measurement: Measurement, outputs: Any, reference: Any, i: int) -> np.ndarray[Any, Any]:
    size, counted = measurement.batches.size(i), measurement.counted(i)
    return measurement.workload.metric.score_batch(outputs, reference, size, counted).numpy()


def _n_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
