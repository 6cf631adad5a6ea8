"""The examples that a recovery trains on, and those that it holds back."""

from dataclasses import dataclass

import torch

from core.errors import SecateurError
from core.recovery.request import no_training_text
from core.recovery.settings import FineTuning
from core.workload.examples import Examples
from core.workload.workload import Workload


@dataclass(frozen=True)
class Split:
    """The training examples of a workload, and those of them that are held back to decide when to stop."""

    training: Examples
    validation: Examples | None

    @classmethod
    def of(cls, workload: Workload, settings: FineTuning) -> "Split":
        """Drawn by the seed; never an evaluation example, for a workload may not share any.

        Raises:
            SecateurError: there are no training examples, or all of them would be held back.
        """
        examples = workload.training
        if examples is None or not len(examples):
            raise SecateurError(no_training_text(workload.name))
        n_held = settings.n_held(len(examples))
        if not n_held:
            return cls(examples, None)
        if n_held >= len(examples):
            raise SecateurError(
                f"validation of {settings.validation:g} holds back all {len(examples)} training examples; take less"
            )
        order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(settings.seed))
        return cls(examples.take(order[n_held:].sort().values), examples.take(order[:n_held].sort().values))


def on_device(batch: Examples, device: torch.device) -> Examples:
    """A batch where the model is."""
    return Examples(tuple(tensor.to(device) for tensor in batch.inputs), batch.labels.to(device))
