"""Examples: tensors that belong together, in an order that never changes."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from core.errors import SecateurError

CHUNK = 1 << 22  # bytes that are looked at in one go
TWICE = 32  # items that are drawn twice: a flip of every second one stays unseen once in four billion loads


@dataclass(frozen=True)
class Examples:
    """Inputs and labels of n examples, as tensors.

    Attributes:
        inputs: what the model is called with; each (n, ...). A tuple: its positional arguments. A dictionary, such as a
            tokenizer's: its keyword arguments, by name. One tensor for one argument. A tuple once it is made.
        labels: what the metric compares with; (n, ...). Left out, they are nothing for each example: shape (n, 0).
        names: of the inputs, in their order; `None` where they were given by position.
        padded: whether it was Secateur that padded them to one length.
        on_disk: whether they are mapped from a file, being too large for memory; see `core.workload.inputs.spilled`.

    Raises:
        SecateurError: something is no tensor, the numbers of examples differ, or there are neither inputs nor labels.
    """

    inputs: tuple[Tensor, ...] | Tensor
    labels: Tensor = None  # type: ignore[assignment]  # None before it is made, never after
    names: tuple[str, ...] | None = None
    padded: bool = False
    on_disk: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.inputs, Mapping):
            self._take_names(self.inputs)
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

    def _take_names(self, given: Mapping[str, object]) -> None:
        for name, value in given.items():
            if not isinstance(name, str):
                raise SecateurError(f"names of inputs must be strings, got {name!r}; they are parameters of forward")
            if not isinstance(value, Tensor):
                raise SecateurError(
                    f"input {name!r} must be a tensor, got {type(value).__name__}; a tokenizer gives tensors with "
                    'return_tensors="pt", padding=True, and what is no number is left out'
                )
        if cast(object, self.labels) is None and "labels" in given:
            raise SecateurError(
                "'labels' stand among the inputs, and nothing is left to compare with; give them apart: "
                "Examples(inputs, labels=inputs.pop('labels'))"
            )
        object.__setattr__(self, "names", tuple(given))
        object.__setattr__(self, "inputs", tuple(given.values()))

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
            yield Examples(tuple(x.clone() for x in rows.inputs), rows.labels.clone(), self.names)

    def take(self, positions: Tensor) -> "Examples":
        """Copies of the rows at `positions`, int64 (k,)."""
        return self._rows(positions)

    def _rows(self, rows: slice | Tensor) -> "Examples":
        on_disk = self.on_disk and isinstance(rows, slice)  # else they are copies
        return Examples(tuple(x[rows] for x in self.inputs), self.labels[rows], self.names, self.padded, on_disk)

    def ordered(self, names: tuple[str, ...]) -> "Examples":
        """The same examples with their named inputs in another order; not copied."""
        assert self.names is not None
        by_name = dict(zip(self.names, self.inputs, strict=True))
        return Examples(tuple(by_name[name] for name in names), self.labels, names, self.padded, self.on_disk)

    def fingerprint(self) -> str:
        """Hash of dtype, shape and bytes of every tensor, and of the names of the inputs if they have any."""
        digest = hashlib.sha256()
        if self.names is not None:  # a mask that is known as one decides what a score leaves out
            digest.update(repr(self.names).encode())
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

    def n_common(self, other: "Examples") -> int:
        """How many examples of this one, counted once each, are in the other too; by their inputs, byte by byte."""
        if [(x.dtype, x.shape[1:]) for x in self.inputs] != [(x.dtype, x.shape[1:]) for x in other.inputs]:
            return len(self.example_hashes() & other.example_hashes())
        ours, theirs = self._checksums(), other._checksums()  # equal examples have equal ones, and others rarely do
        both = np.intersect1d(ours, theirs)
        if not len(both):
            return 0
        rows = [torch.from_numpy(np.flatnonzero(np.isin(sums, both))) for sums in (ours, theirs)]
        return len(self.take(rows[0]).example_hashes() & other.take(rows[1]).example_hashes())

    def _checksums(self) -> NDArray[np.uint64]:
        """A number for each example's inputs, uint64 (n,): a weighted sum of their bytes, eight at a time."""
        total = np.zeros(len(self), dtype=np.uint64)
        for column in self.inputs:
            wide = column[0].numel() * column.element_size() if len(self) else 0
            random = np.random.default_rng(0).integers(2**63, size=-(-wide // 8) + 1, dtype=np.uint64) | np.uint64(1)
            step = max(1, CHUNK // max(1, wide))
            for start in range(0, len(self), step):
                rows = column[start : start + step]
                found = np.frombuffer(tensor_bytes(rows), dtype=np.uint8).reshape(len(rows), wide)
                if wide % 8:
                    found = np.pad(found, ((0, 0), (0, -wide % 8)))
                words = np.ascontiguousarray(found).view(np.uint64)
                total[start : start + step] += (words * random[: words.shape[1]]).sum(1, dtype=np.uint64)
            total *= random[-1]
        return total

    @classmethod
    def from_dataset(cls, dataset: Dataset[tuple[Tensor, int]], limit: int | None = None) -> "Examples":
        """The first `limit` items of a map-style dataset of `(input, label)` pairs, stacked.

        Some are drawn twice: what is measured on examples that change whenever they are loaded can't be compared with
        anything, nor can a run go on with them. They are held in memory; `core.examples_from` takes more than that.

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
