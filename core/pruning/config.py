"""How to prune when a whole plan is more than is needed. No torch."""

from dataclasses import dataclass

from core.errors import SecateurError
from core.plans.checked import checked_sparsity

SCHEDULES = ("one_shot",)  # without training, rounds come to the same: the smallest weights of the dense model go


@dataclass(frozen=True)
class PruningConfig:
    """One sparsity for every layer.

    Attributes:
        target_sparsity: fraction of each layer's weights to remove, in [0, 1).
        method: name of a criterion.
        schedule: `"one_shot"`: all at once, from the dense weights.
        num_iterations: rounds of the schedule; one-shot has one.
    """

    target_sparsity: float = 0.5
    method: str = "magnitude"
    schedule: str = "one_shot"
    num_iterations: int = 1

    def __post_init__(self) -> None:
        checked_sparsity(self.target_sparsity)
        if self.schedule not in SCHEDULES:
            raise SecateurError(
                f"no schedule {self.schedule!r} without training; choose one of {list(SCHEDULES)}, or train between "
                "rounds with IterativePruner(schedule=…)"
            )
        if self.num_iterations != 1:
            raise SecateurError(
                f"one_shot prunes in 1 iteration, got num_iterations={self.num_iterations}; leave it at 1"
            )
