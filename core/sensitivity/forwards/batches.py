"""The batches that a measurement goes through: which examples, in which order."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import SecateurError
from core.sensitivity.forwards.set_aside import Part, order_of
from core.sensitivity.request import Samples, check_samples
from core.workload.examples import Examples
from core.workload.inputs.padding import Padding, counted, mask_name, padding_of
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
        padding: of the examples, where something says what it is. Batches are not made of examples of one length, which
            would be fewer numbers to compute: then what comes next would not be like what came before.
        order: positions in `examples`, int64, at least `n`, in the place of what the seed draws of all.

    Attributes:
        n: as given.
        padding: as given, until `keep_padding`.
        positions: of each batch in the evaluation data.
        keys: of each batch, from its content, all padding included.
    """

    def __init__(
        self,
        examples: Examples,
        n: int,
        size: int,
        seed: int,
        padding: Padding | None = None,
        order: Tensor | None = None,
    ) -> None:
        self.n, self.padding = n, padding
        self._counted, self._counted_by = counted(examples), mask_name("labels", examples.names or ())
        self._examples = examples
        if order is None:
            order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))
        order = order[:n]
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

    def counted_at(self, positions: Tensor, device: torch.device) -> Tensor | None:
        """Which positions of the outputs for some examples are no padding; see `core.workload.inputs.padding`."""
        return None if self._counted is None else self._counted[positions].to(device)

    def length(self, i: int) -> dict[str, int]:
        """To what a batch is cut, by mask; empty where nothing is known of padding."""
        return {} if self.padding is None else self.padding.length(self.positions[i])

    def trimmed_inputs(self, i: int, device: torch.device) -> tuple[Tensor, ...]:
        """As `inputs`, without the padding that no example of the batch needs."""
        inputs = self.inputs(i, device)
        return inputs if self.padding is None else self.padding.inputs(inputs, self.length(i))

    def trimmed_labels(self, i: int, device: torch.device) -> Tensor:
        """As `labels`, for outputs on `trimmed_inputs`."""
        labels = self.labels(i, device)
        return labels if self.padding is None else self.padding.rows(labels, self.length(i), self.padding.labels)

    def trimmed_counted(self, i: int, device: torch.device) -> Tensor | None:
        """As `counted_at`, for outputs on `trimmed_inputs`."""
        found = self.counted_at(self.positions[i], device)
        if found is None or self.padding is None:
            return found
        return self.padding.rows(found, self.length(i), self._counted_by)

    def keep_padding(self) -> None:
        """From now on every batch is as long as it was given: the model does not do without its padding."""
        self.padding = None

    def regroup(self, order: NDArray[np.int64], sizes: Sequence[int]) -> None:
        """Put the same examples into another order and into other batches.

        Args:
            order: places in the order so far, each once, (n,).
            sizes: examples in each batch, n together.
        """
        assert sorted(order.tolist()) == list(range(self.n)), "the same examples, each once"
        self.positions = list(torch.cat(self.positions)[torch.from_numpy(order)].split(list(sizes)))
        self.keys = [self[i].fingerprint() for i in range(len(self))]

    def arrange(self, positions: Sequence[Tensor]) -> None:
        """Have other batches, of examples at these positions in the evaluation data; before anything is measured."""
        self.n, self.positions = sum(map(len, positions)), list(positions)
        self.keys = [self[i].fingerprint() for i in range(len(self))]

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


def batches_of(workload: Workload, samples: Samples, seed: int, part: Part = "open", skip: int = 0) -> Batches:
    """The batches of a workload's evaluation data.

    Args:
        samples: how many examples; see `SweepRequest`. All of them are those that are not set aside.
        seed: of their order.
        part: which of them; see `Part`.
        skip: so many of the order are left out first: what is judged on what follows was not chosen by it.

    Raises:
        SecateurError: `samples` is no number of examples, or there are fewer.
    """
    check_samples(samples)
    wanted = workload.sweep_examples if samples is None else None if samples == "all" else samples
    n_all, held = len(workload.evaluation), workload.n_held
    order = order_of(workload, seed, part)[skip:]
    if samples is not None and wanted is not None and wanted > len(order):
        if part == "open" and wanted <= n_all - skip:
            raise SecateurError(
                f"{wanted:,} samples asked for, but {held:,} of the {n_all:,} evaluation examples of {workload.name} "
                f"are set aside for certificates; take {len(order):,} or fewer, or all, or name examples for "
                "certificates yourself: Workload(holdout=…)"
            )
        raise SecateurError(
            f"{wanted:,} samples asked for, but the evaluation data of {workload.name} has "
            f"{len(order) if skip else n_all:,}{' more' if skip else ''}; take fewer, or all"
        )
    reading = workload.metric.reading  # of what a metric of somebody else's makes of positions nothing is known
    padding = None if reading is None else padding_of(workload.evaluation, reading.kind == "tokens")
    most = len(order) if part == "held" or (samples is not None and wanted is not None) else workload.n_open - skip
    return Batches(workload.evaluation, min(most, wanted or most), workload.batch_size, seed, padding, order)
