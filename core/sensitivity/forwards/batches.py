"""The batches that a measurement goes through: which examples, in which order."""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor

from core.errors import SecateurError
from core.sensitivity.request import Samples, check_samples
from core.workload.examples import Examples
from core.workload.workload import Workload

FIRST = 5  # the first batch is this much smaller: after it, a whole map exists


class Batches:
    """Some examples in an order drawn by a seed, cut into batches. Rows are gathered when a batch is needed.

    The order is random because data often come sorted by class: the first thousand would be no fair sample, and
    stopping early is only honest if what comes next is like what came before.

    Args:
        examples: all that there are.
        n: how many are used: the first `n` of the order, so that more examples go on where fewer ended.
        size: examples per batch; the first `size` are split once more, 1 : 4.
        seed: of the order.
    """

    def __init__(self, examples: Examples, n: int, size: int, seed: int) -> None:
        self.n = n
        self._examples = examples
        order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))[:n]
        first = max(2, size // FIRST)
        cuts = [0, *([first] if first < size else []), *range(size, n, size), n]
        edges = sorted({min(cut, n) for cut in cuts})
        self.positions = [order[a:b] for a, b in pairwise(edges)]
        self.keys = [self[i].fingerprint() for i in range(len(self))]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, i: int) -> Examples:
        return self._examples.take(self.positions[i])

    def size(self, i: int) -> int:
        """Examples in a batch."""
        return len(self.positions[i])

    def rows(self, i: int) -> slice:
        """Where a batch lies among the `n` examples in their order."""
        start = sum(map(len, self.positions[:i]))
        return slice(start, start + self.size(i))

    def inputs(self, i: int, device: torch.device) -> tuple[Tensor, ...]:
        """What the model is called with: copies."""
        return self.inputs_at(self.positions[i], device)

    def inputs_at(self, positions: Tensor, device: torch.device) -> tuple[Tensor, ...]:
        """What the model is called with for the examples at some positions: copies."""
        return tuple(x[positions].to(device) for x in self._examples.inputs)

    def check_unchanged(self, name: str, batches: Iterable[int] | None = None) -> None:
        """Refuse to go on with examples that are not any more what they were, by their content.

        Args:
            name: of the workload.
            batches: that are looked at; `None` for all.

        Raises:
            SecateurError: something was written into them.
        """
        changed = [
            i for i in (range(len(self)) if batches is None else batches) if self[i].fingerprint() != self.keys[i]
        ]
        if changed:
            raise SecateurError(
                f"the evaluation data of {name} were written to while it was measured ({len(changed)} of {len(self)} "
                "batches differ): the model or the metric changes tensors in place that are not its own; let it work "
                "on a copy (x = x * 2 instead of x.mul_(2)), and measure again in a fresh --workspace"
            )

    def labels(self, i: int, device: torch.device) -> Tensor:
        """What the metric compares with."""
        return self._examples.labels[self.positions[i]].to(device)


def batches_of(workload: Workload, samples: Samples, seed: int) -> Batches:
    """The batches of a workload's evaluation data.

    Args:
        samples: how many examples; see `SweepRequest`.
        seed: of their order.

    Raises:
        SecateurError: `samples` is no number of examples, or there are fewer.
    """
    check_samples(samples)
    wanted = workload.sweep_examples if samples is None else None if samples == "all" else samples
    n_all = len(workload.evaluation)
    if samples is not None and wanted is not None and wanted > n_all:
        raise SecateurError(
            f"{wanted:,} samples asked for, but the evaluation data of {workload.name} has {n_all:,}; "
            "take fewer, or all"
        )
    return Batches(workload.evaluation, min(n_all, wanted or n_all), workload.batch_size, seed)
