"""Applying a plan: measured while the masks are on, or cut into a copy of the model."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor, nn

from core.plans.plan import SparsityPlan
from core.pruning.config import LayerStats, PruningConfig
from core.pruning.criteria import get_criterion
from core.pruning.masks import apply_masks
from core.sensitivity.measurement import Measurement, Outcome
from core.sensitivity.report import Estimate
from core.sensitivity.request import Samples
from core.workload.scale import Scale
from core.workload.target import Target
from core.workload.workload import Workload


@dataclass(frozen=True)
class PlanMeasurement:
    """What a whole plan costs, measured with its masks on.

    Attributes:
        plan: what was measured.
        scale: how to read the numbers.
        dense: the dense model on the same examples.
        outcome: metric and paired drop of the pruned model.
        layers: what is cut where; every weight target, in network order.
    """

    plan: SparsityPlan
    scale: Scale
    dense: Estimate
    outcome: Outcome
    layers: tuple[LayerStats, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        removed, total = sum(s.pruned_params for s in self.layers), sum(s.total_params for s in self.layers)
        return {
            "metric": asdict(self.scale),
            "dense": asdict(self.dense),
            "state": self.outcome.state,
            "reason": self.outcome.reason,
            "pruned": asdict(self.outcome.metric) if self.outcome.metric else None,
            "drop": asdict(self.outcome.drop) if self.outcome.drop else None,
            "n_removed": removed,
            "n_weights": total,
            "layers": [asdict(stats) for stats in self.layers],
        }


@dataclass(frozen=True)
class PrunedModel:
    """A pruned copy and how it compares with the dense model, which is as it was.

    Attributes:
        model: a copy with zeros in place; same shapes, same classes.
        measurement: dense and pruned metric, drop, and per-layer statistics.
        workload: what it was pruned from.
        ref: where that came from, a sample's name or a file; `None` if it was made in memory.
    """

    model: nn.Module = field(repr=False)
    measurement: PlanMeasurement
    workload: Workload = field(repr=False)
    ref: str | None

    @property
    def plan(self) -> SparsityPlan:
        """The plan that was applied."""
        return self.measurement.plan

    @property
    def stats(self) -> tuple[LayerStats, ...]:
        """What was cut, layer by layer."""
        return self.measurement.layers


def plan_measurement(measurement: Measurement, plan: SparsityPlan) -> PlanMeasurement:
    """Measure a plan. `measurement` is entered; the model is dense before and after."""
    masks = measurement.maker.masks(plan)
    dense = measurement.dense()
    return PlanMeasurement(
        plan,
        measurement.workload.metric.scale,
        dense,
        measurement.measure(plan),
        layer_stats(measurement.targets, masks),
    )


def layer_stats(targets: Sequence[Target], masks: Mapping[str, Tensor]) -> tuple[LayerStats, ...]:
    """What masks remove from every weight target, in network order; heads count where their columns lie."""
    stats = []
    for target in targets:
        if target.granularity == "weight":
            mask = masks.get(target.parameter)
            removed = 0 if mask is None else int((~mask).sum())
            stats.append(LayerStats(target.name, target.n_weights, removed, removed / target.n_weights))
    return tuple(stats)


def pruned_copy(model: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a model with masks applied for good. `model` is not modified."""
    clone = copy.deepcopy(model)
    apply_masks(clone, masks)
    return clone


def prune_workload(
    workload: Workload,
    how: PruningConfig | SparsityPlan,
    samples: Samples = "all",
    device: str = "cpu",
    ref: str | None = None,
) -> PrunedModel:
    """Prune a copy of the workload's model and measure it.

    Args:
        workload: checked; its model is not modified.
        how: a plan, or one sparsity for all layers.
        samples, device: as in `SweepRequest`.
        ref: name or file that the workload was loaded from.

    Raises:
        SecateurError: unknown target, criterion or device.
    """
    with Measurement(workload, None, samples, device=device) as measurement:
        if isinstance(how, PruningConfig):
            get_criterion(how.method)
            plan = SparsityPlan.uniform(measurement.targets, how.target_sparsity, how.method, workload.name)
        else:
            plan = how
        measured = plan_measurement(measurement, plan)
        masks = measurement.maker.masks(plan)
    on_home_device = {name: mask.to(workload.model.get_parameter(name).device) for name, mask in masks.items()}
    return PrunedModel(pruned_copy(workload.model, on_home_device), measured, workload, ref)
