"""Iterative pruning from a script."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from core.plans.plan import SparsityPlan
from core.plans.schedules import Schedule
from core.recovery.history import Round
from core.recovery.request import RecoverRequest
from core.recovery.rounds import Recovery
from core.recovery.settings import FineTuning
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.request import Samples
from core.shown import Shown
from core.workload.loading import canonical_ref, load_workload
from core.workload.workload import Workload


@dataclass(frozen=True)
class Recovered(Shown):
    """A pruned and fine-tuned copy; the dense model is as it was.

    Attributes:
        model: of the same shapes, with exact zeros where it was cut, in evaluation mode.
        history: a row per round.
    """

    model: nn.Module = field(repr=False)
    history: tuple[Round, ...]


@dataclass(frozen=True)
class IterativePruner:
    """Prunes in rounds with recovery fine-tuning between them.

    Attributes:
        initial_sparsity, final_sparsity, num_iterations, schedule: as in `core.plans.schedules.Schedule`.

    Source: Zhu & Gupta 2017, arXiv:1710.01878, for the cubic schedule; saliency is ranked anew in every round.
    """

    initial_sparsity: float = 0.0
    final_sparsity: float = 0.9
    num_iterations: int = 5
    schedule: str = "cubic"

    def __post_init__(self) -> None:
        self._schedule()

    def _schedule(self) -> Schedule:
        return Schedule(self.schedule, self.initial_sparsity, self.final_sparsity, self.num_iterations)

    def get_schedule(self) -> tuple[float, ...]:
        """Sparsity after each round, in [0, 1); `num_iterations` of them."""
        return self._schedule().sparsities()

    def run(
        self,
        workload: str | Workload,
        fine_tuning: FineTuning | None = None,
        plan: SparsityPlan | None = None,
        *,
        folder: Path | str | None = None,
        samples: Samples = "all",
        device: str = "cpu",
        on_round: Callable[[tuple[Round, ...]], None] = lambda history: None,
        **request: Any,
    ) -> Recovered:
        """Prune and recover a copy of a workload's model.

        Args:
            workload: a sample's name, the path of a workload file, or a `Workload` made in this script; with training
                data.
            fine_tuning: how to train; `None` for the defaults.
            plan: what each target ends with; `None` for `final_sparsity` of all weights together.
            folder: for checkpoints, one per round; the same call with the same folder goes on from them.
            samples: evaluation examples after each round.
            device: where to train and measure.
            on_round: called with the history after every round.
            **request: further fields of `RecoverRequest`: `spread`, `criterion`, `start`, ...

        Raises:
            SecateurError: no training data, a bad plan; or the loss became NaN: rounds before are in `folder`.
        """
        workload = str(workload) if isinstance(workload, Path) else workload
        loaded = workload if isinstance(workload, Workload) else load_workload(workload)
        loaded.check()
        document = plan.to_document() if plan is not None else None
        asked = RecoverRequest(
            canonical_ref(workload) if isinstance(workload, str) else loaded.name, self._schedule(),
            fine_tuning or FineTuning(), document, samples=samples, device=device,
            **request,
        )  # fmt: skip
        with Measurement(loaded, None, samples, device=device) as measurement:
            recovery = Recovery(measurement, asked, Path(folder) if folder is not None else None, on_round=on_round)
            history = recovery.run()
        return Recovered(recovery.model.cpu(), history)
