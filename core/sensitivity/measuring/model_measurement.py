"""Measuring a model that is no cut of the dense one, a quantized one say, beside it on the same examples."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Outcome
from core.sensitivity.report import Estimate
from core.sensitivity.statistics.intervals import drop_estimate


@dataclass(frozen=True)
class MeasuredModel:
    """What a model scores.

    Attributes:
        outcome: its metric, and its paired drop from the dense model.
        scores: of every example, in the measurement's order: (n,).
    """

    outcome: Outcome
    scores: NDArray[np.float64] = field(repr=False)


def measured_model(measurement: Measurement, run: Callable[..., Any], dense: nn.Module | None = None) -> MeasuredModel:
    """Measure a model, or whatever gives outputs as the dense one does.

    Args:
        measurement: entered; the examples to measure on.
        run: called with the inputs of a batch, on the measurement's device, without gradients.
        dense: the model that a metric against the dense one compares with; `None` for the workload's own.

    Raises:
        SecateurError: the dense model cannot be measured, or the outputs are such that the metric cannot score them.
        Cancelled: as the measurement's `check` says.
    """
    workload = measurement.workload
    measurement.dense()
    against_dense = workload.metric.against == "dense"
    if dense is None and against_dense:
        dense = copy.deepcopy(workload.model).eval()
    evidence: dict[int, BatchEvidence] = {}
    with torch.inference_mode():
        for i in range(len(measurement.batches)):
            measurement.check()
            inputs = measurement.inputs(i)
            reference = dense(*inputs) if dense is not None and against_dense else measurement.labels(i)
            size, counted = measurement.batches.size(i), measurement.counted(i)
            scores = workload.metric.score_batch(run(*inputs), reference, size, counted)
            evidence[i] = BatchEvidence(scores.numpy(), changed=True)  # another model, whether or not it shows
    found = np.concatenate([evidence[i].scores for i in sorted(evidence)]).astype(np.float64)
    return MeasuredModel(measurement.outcome(evidence, reused=False), found)


def paired_drop(measurement: Measurement, before: MeasuredModel, after: MeasuredModel) -> Estimate | None:
    """How much worse one model is than another on the same examples; `None` if one of the two has no metric."""
    if before.outcome.metric is None or after.outcome.metric is None:
        return None
    _, weights = measurement.dense_scores(range(len(measurement.batches)))
    return drop_estimate(measurement.workload.metric.scale, before.scores, after.scores, weights)
