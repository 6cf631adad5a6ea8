"""What a whole plan costs, measured with its masks on."""

from dataclasses import asdict, dataclass
from typing import Any

from core.plans.cut_words import not_repaired_text
from core.plans.plan import SparsityPlan
from core.pruning.layer_stats import LayerStats, layer_stats
from core.pruning.masks import without_blocks
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Outcome
from core.sensitivity.report import Estimate
from core.shown import Shown
from core.workload.scale import Scale


@dataclass(frozen=True)
class PlanMeasurement(Shown):
    """What a whole plan costs, measured with its masks on.

    Attributes:
        plan: what was measured.
        scale: how to read the numbers.
        dense: the dense model on the same examples.
        outcome: metric and paired drop of the pruned model.
        layers: what is cut where; every weight target, in network order.
        not_repaired: lines that stay raw though the plan has a repair, and why, in words.
    """

    plan: SparsityPlan
    scale: Scale
    dense: Estimate
    outcome: Outcome
    layers: tuple[LayerStats, ...]
    not_repaired: tuple[str, ...] = ()

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
            **({"not_repaired": list(self.not_repaired)} if self.not_repaired else {}),
        }


def plan_measurement(measurement: Measurement, plan: SparsityPlan) -> PlanMeasurement:
    """Measure a plan. `measurement` is entered; the model is dense before and after."""
    measurement.prepare(plan)
    masks = measurement.maker.masks(without_blocks(plan))
    dense = measurement.dense()
    return PlanMeasurement(
        plan,
        measurement.workload.metric.scale,
        dense,
        measurement.measure(plan),
        layer_stats(measurement.targets, masks),
        tuple(not_repaired_text(cut, why) for cut, why in measurement.cutting.unrepaired(plan).items()),
    )
