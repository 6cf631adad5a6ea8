"""What training draws by chance: the order of its examples, their augmentation, and dropout; by seed, round, epoch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from core.recovery.settings import FineTuning
from core.workload.examples import Examples

Augment = Callable[[Tensor, torch.Generator], Tensor]


def shuffled(
    examples: Examples, settings: FineTuning, number: int, epoch: int, augment: Augment | None
) -> Iterator[Examples]:
    """Batches of all examples, in an order that depends on the seed, the round and the epoch alone.

    Args:
        examples: at least one, on any device; not modified.
        settings: its seed and batch size.
        number: of the round, counted from 1.
        epoch: of the round, counted from 0.
        augment: changes the first input of a batch, as `Workload.augment`.
    """
    generator = torch.Generator().manual_seed(_seed(settings.seed, number, epoch))
    for rows in torch.randperm(len(examples), generator=generator).split(settings.batch_size):
        batch = examples.take(rows)
        if augment is not None and batch.inputs:
            batch = Examples((augment(batch.inputs[0], generator), *batch.inputs[1:]), batch.labels)
        if len(batch) > 1 or settings.batch_size == 1 or len(examples) == 1:  # a rest of one has no variance
            yield batch


@contextmanager
def seeded(seed: int, number: int, device: torch.device) -> Iterator[None]:
    """Dropout of a round draws from torch's own generator, which is as it was afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(_seed(seed, number, 0))
        yield


def _seed(seed: int, number: int, epoch: int) -> int:
    return ((seed * 1_000_003 + number) * 1_000_003 + epoch) % 2**63
