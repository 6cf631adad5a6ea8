"""Examples: tensors that belong together, in an order that never changes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from core.errors import SecateurError

TWICE = 32  # items that are drawn twice: a flip of every second one stays unseen once in four billion loads


@dataclass(frozen=True)
class Examples:
    """Inputs and labels of n examples, held in memory.

    Attributes:
        inputs: what the model is called with, as positional arguments; each (n, ...). One tensor for one argument.
        labels: what the metric compares with; (n, ...). Left out, they are nothing for each example: shape (n, 0).

    Raises:
        SecateurError: something is no tensor, the numbers of examples differ, or there are neither inputs nor labels.
    """

    inputs: tuple[Tensor, ...] | Tensor
    labels: Tensor = None  # type: ignore[assignment]  # None before it is made, never after

    def __post_init__(self) -> None:
        if isinstance(self.inputs, Tensor):  # a single input needs no tuple: `Examples(images, labels)`
            object.__setattr__(self, "inputs", (self.inputs,))
        given: tuple[object, ...] = self.tensors if cast(object, self.labels) is not None else (*self.inputs,)
        if not given:
            raise SecateurError("examples need inputs or labels, got neither; Examples(images) has one input")
        for tensor in given:
            if not isinstance(tensor, Tensor):
                raise SecateurError(
                    f"inputs and labels must be tensors, got {type(tensor).__name__}; torch.as_tensor makes one"
                )
        if cast(object, self.labels) is None:
            object.__setattr__(self, "labels", torch.empty(len(self.inputs[0]), 0))
        lengths = {len(tensor) for tensor in self.tensors}
        if len(lengths) != 1:
            raise SecateurError(
                f"inputs and labels must have the same number of examples, got {sorted(lengths)}; "
                "the first dimension of each tensor counts examples"
            )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Inputs, then labels."""
        return (*self.inputs, self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, n: int | None) -> "Examples":
        """The first `n` examples (views, not copies); all of them when `n` is `None`."""
        return self if n is None else self._rows(slice(n))

    def batches(self, size: int) -> Iterator["Examples"]:
        """Consecutive batches of `size` examples, the last may be smaller; copies, for a model may write into them."""
        for start in range(0, len(self), size):
            rows = self._rows(slice(start, start + size))
            yield Examples(tuple(x.clone() for x in rows.inputs), rows.labels.clone())

    def take(self, positions: Tensor) -> "Examples":
        """Copies of the rows at `positions`, int64 (k,)."""
        return self._rows(positions)

    def _rows(self, rows: slice | Tensor) -> "Examples":
        return Examples(tuple(x[rows] for x in self.inputs), self.labels[rows])

    def fingerprint(self) -> str:
        """Hash of dtype, shape and bytes of every tensor."""
        digest = hashlib.sha256()
        for tensor in self.tensors:
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor_bytes(tensor))
        return digest.hexdigest()

    def example_hashes(self) -> set[bytes]:
        """Hash of each example's inputs (labels left out: an image is the same image whatever it is called)."""
        columns = [x.detach().cpu().contiguous() for x in self.inputs]
        return {
            hashlib.blake2b(b"".join(tensor_bytes(column[i]) for column in columns), digest_size=16).digest()
            for i in range(len(self))
        }

    @classmethod
    def from_dataset(cls, dataset: Dataset[tuple[Tensor, int]], limit: int | None = None) -> "Examples":
        """The first `limit` items of a map-style dataset of `(input, label)` pairs, stacked.

        Some are drawn twice: what is measured on examples that change whenever they are loaded can't be compared with
        anything, nor can a run go on with them.

        Raises:
            SecateurError: there is no item, or one is another when it is drawn again.
        """
        n = len(dataset) if limit is None else min(limit, len(dataset))  # type: ignore[arg-type]
        if n == 0:
            raise SecateurError("the dataset is empty; expected (input, label) pairs")
        inputs, labels = default_collate([dataset[i] for i in range(n)])
        found = cls((inputs,), labels)
        again = torch.linspace(0, n - 1, min(n, TWICE)).long()
        twice = cls(*default_collate([dataset[i] for i in again.tolist()]))
        once = found.take(again)
        changed = [
            i
            for row, i in enumerate(again.tolist())
            if once._rows(slice(row, row + 1)).fingerprint() != twice._rows(slice(row, row + 1)).fingerprint()
        ]
        if changed:
            raise SecateurError(
                f"item {changed[0]} of the dataset is another when it is drawn again ({len(changed)} of {len(again)} "
                "that were tried): it augments at random, so every load would give other examples; turn its random "
                "transforms off (recovery has Workload(augment=...)), or draw the items once and keep them in a file"
            )
        return found


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The entries of a tensor as bytes, in row-major order, for hashing. Any dtype, any device."""
    flat = tensor.detach().cpu().contiguous().flatten()
    return memoryview(flat.view(torch.uint8).numpy())  # type: ignore[arg-type]
