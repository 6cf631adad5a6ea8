"""What a recovery is asked to do. All that changes its answer is a field; no torch."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from core.errors import SecateurError
from core.plans.checked import as_float
from core.plans.criteria import DEFAULT_CRITERION, FACTS, checked_criterion
from core.plans.plan import SparsityPlan
from core.plans.schedules import Schedule
from core.recovery.settings import FineTuning
from core.sensitivity.request import Samples, check_samples

Spread = Literal["global", "uniform", "erk", "lamp"]
SPREADS: tuple[Spread, ...] = ("global", "uniform", "erk", "lamp")


def no_training_text(name: str) -> str:
    """Why a workload of that name cannot be recovered, and what it wants."""
    return (
        f"{name} has no training data to recover with; give the workload training=Examples(inputs, labels), other "
        "examples than those it is judged on"
    )


@dataclass(frozen=True)
class RecoverRequest:
    """Prune in rounds, fine-tune after each with the masks held, evaluate after each.

    Attributes:
        workload: a sample's name or the path of a workload file; it has training data.
        schedule: how sparse after which round.
        fine_tuning: how to train.
        plan: what each target ends with, as a plan's document; `None` for one sparsity of all weights together,
            `schedule.final_sparsity`, spread anew every round; 0 to fine-tune alone.
        spread: without a plan: how that is shared among layers, an allocation of `core.pruning.allocations`.
        criterion: without a plan: how the weights of a layer are chosen.
        samples: evaluation examples after each round.
        device: where the model runs.
        start: path of a checkpoint, of whatever settings, after which to go on: the round that was rolled back to.
            `None` for the dense model.
        tolerance: drop accepted, in the metric's unit; marks the best round. `None` marks none.
    """

    workload: str
    schedule: Schedule = field(default_factory=Schedule)
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    plan: dict[str, Any] | None = None
    spread: Spread = "global"
    criterion: str = DEFAULT_CRITERION
    samples: Samples = "all"
    device: str = "cpu"
    tolerance: float | None = None
    start: str | None = None

    def __post_init__(self) -> None:
        check_samples(self.samples)
        if FACTS[checked_criterion(self.criterion)].updates:
            raise SecateurError(
                f"{self.criterion} changes the weights that stay, which training does anyway; choose wanda or magnitude"
            )
        if self.spread not in SPREADS:
            raise SecateurError(f"no spread {self.spread!r}; choose one of {list(SPREADS)}")
        if self.plan is not None:
            if (repair := SparsityPlan.from_document(self.plan).repair) is not None:
                raise SecateurError(
                    f"recovery trains from the dense weights, so the plan's repair, {repair}, would be lost; "
                    "take the plan without its repair, or train it yourself with core.held_masks, which begins with it"
                )
        elif self.schedule.final_sparsity == 0 and not self.fine_tuning.trains:
            raise SecateurError(
                "a final sparsity of 0 prunes nothing, and nothing is to be trained; give a sparsity above 0, such as "
                "0.9, or epochs above 0 to fine-tune alone"
            )
        if self.tolerance is not None and not as_float(self.tolerance) >= 0:
            raise SecateurError(f"tolerance must be a number of at least 0, got {self.tolerance!r}")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "fine_tuning": self.fine_tuning.to_json()}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "RecoverRequest":
        """Inverse of `to_json`, also after lists have taken the place of tuples."""
        schedule = Schedule(**{**fields["schedule"], "given": tuple(fields["schedule"]["given"])})
        return cls(**{**fields, "schedule": schedule, "fine_tuning": FineTuning(**fields["fine_tuning"])})
