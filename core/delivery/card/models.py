"""The models that a card sets side by side, each with what it scores: dense, cut, recovered, quantized."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.delivery.rebuilt import rebuilt
from core.errors import SecateurError
from core.plans.plan import Form, SparsityPlan
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.model_measurement import MeasuredModel, measured_model, paired_drop
from core.sensitivity.measuring.outcome import Outcome
from core.sensitivity.measuring.plan_measurement import PlanMeasurement
from core.sensitivity.report import Estimate
from core.workload.workload import Workload

DENSE, UNTRAINED, RECOVERED = "dense", "pruned, not trained", "recovered"


@dataclass(frozen=True)
class Judged:
    """A model and what it scores.

    Attributes:
        model: in evaluation mode.
        metric: on the measurement's examples; `None` if it gives no number.
        drop: paired, from the dense model; `None` of that one.
        scores: of every example, where they were measured beside the dense model: (n,).
    """

    model: nn.Module
    metric: Estimate | None
    drop: Estimate | None
    scores: NDArray[np.float64] | None = field(default=None, repr=False)


class SideBySide:
    """Models of one bundle on the same examples, with drops from the dense model.

    Of a model that was recovered the dense one is its teacher, and there are two more: the same cut without training,
    and the recovered model as it was before this bundle's plan.

    Args:
        measurement: entered.
    """

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement
        workload = measurement.workload
        self._device = measurement.inputs(0)[0].device
        # a teacher is somebody's own: neither its mode nor its device is ours to change
        self._dense = workload.model if workload.teacher is None else self._here(copy.deepcopy(workload.teacher))
        self._first: MeasuredModel | None = None

    def judged(self, run: Callable[..., Any], model: nn.Module) -> Judged:
        """What something scores that gives outputs as the model does; `run` may be the model itself."""
        here = self._here(run) if isinstance(run, nn.Module) else run
        found = measured_model(self._measurement, here, self._dense)
        metric, drop = found.outcome.metric, paired_drop(self._measurement, self._beside(), found)
        return Judged(model, metric, drop, found.scores)

    def of_plan(self, form: Form, model: nn.Module, measured: PlanMeasurement, found: Outcome) -> dict[str, Judged]:
        """The dense model, what was recovered of it, and what the plan makes of that.

        Args:
            form: of the pruned model.
            model: the pruned one.
            measured: the plan, as its masks measure.
            found: the pruned model as it is written.
        """
        workload = self._measurement.workload
        if workload.teacher is None:
            return {
                DENSE: Judged(self._dense, measured.dense, None),
                form: Judged(model, found.metric, found.drop),
            }
        dense = self._beside()
        models = {DENSE: Judged(self._dense, dense.outcome.metric, None, dense.scores)}
        before = untrained(workload)
        if before is not None:
            models[UNTRAINED] = self.judged(self._here(before), before)
        if workload.origin and workload.origin[-1].kind == "recovered":
            models[RECOVERED] = self.judged(workload.model, workload.model)
        if measured.plan.cuts or form == "shrunk" or RECOVERED not in models:
            models[form] = self.judged(self._here(model), model)
        return models

    def _here(self, model: nn.Module) -> nn.Module:
        return model.to(self._device).eval()

    def _beside(self) -> MeasuredModel:
        if self._first is None:
            self._first = measured_model(self._measurement, self._dense, self._dense)
        return self._first


def untrained(workload: Workload) -> nn.Module | None:
    """The dense model cut like a recovered one, with the dense weights; `None` where that cannot be known.

    What was taken out before the training is taken out; what is exactly zero after it is zero.
    """
    stages = [stage.kind for stage in workload.origin]
    if "recovered" not in stages or "shrunk" in stages[stages.index("recovered") :]:
        return None
    now = replace(workload, model=workload.dense_model, teacher=None, origin=())
    model = copy.deepcopy(now.model)
    for stage in workload.origin:
        if stage.kind != "shrunk":
            continue
        if stage.plan is None:
            return None
        try:
            model = rebuilt(now, SparsityPlan.from_document(stage.plan), "shrunk")
        except SecateurError:  # the dense model is not what it was
            return None
        now = replace(now, model=model)
    trained = dict(workload.model.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name not in trained or trained[name].shape != parameter.shape:
                return None
            parameter.mul_((trained[name] != 0).to(parameter))
    return model.eval()
