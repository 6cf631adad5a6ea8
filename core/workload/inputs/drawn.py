"""Examples out of whatever gives them: a DataLoader, a Dataset, a list, a dictionary of columns, any iterable."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from core.errors import SecateurError, first_line
from core.workload.examples import TWICE, Examples
from core.workload.inputs.spilled import Columns
from core.workload.inputs.stacking import joined, tensor_of

LABEL_NAMES = ("labels", "label")
_WORKER = re.compile(r"Caught \w+ in DataLoader worker process \d+")  # how a loader tells what a worker raised
_SHUFFLING = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


@dataclass(frozen=True)
class Drawn:
    """One item: an example, or a batch of them.

    Attributes:
        inputs: by name, or by place ("0", "1", …).
        label: `None` where there is none.
        by_name: which of the two.
    """

    inputs: Mapping[str, Tensor]
    label: Tensor | None
    by_name: bool

    @property
    def tensors(self) -> list[Tensor]:
        """Inputs, and the label if there is one."""
        return list(self.by_column.values())

    @property
    def by_column(self) -> dict[str | None, Tensor]:
        """Inputs by name, and the label, if there is one, under `None`."""
        found: dict[str | None, Tensor] = dict(self.inputs.items())
        if self.label is not None:
            found[None] = self.label
        return found


def examples_from(
    source: Any,
    *,
    labels: str | Tensor | None = None,
    inputs: Sequence[str] | None = None,
    limit: int | None = None,
    batched: bool | None = None,
    label_dims: Sequence[int] = (),
) -> Examples:
    """Read examples, once, in the order in which they come; some are drawn twice, to see that they stay the same.

    An item is `(input, label)`, `(a, b, label)`, `({name: input}, label)`, `{name: input, "labels": label}`, or an
    input alone. Lengths may vary where inputs come by name with an `attention_mask`: then the rest is padded with
    zeros, and labels of tokens with -100.

    Args:
        source: a DataLoader (its items are batches), a map-style Dataset (its items are examples), a list or another
            iterable, a dictionary of columns, or a tuple of tensors whose last holds the labels.
        labels: which name holds them, of items and columns by name ("labels" or "label" unless told otherwise); of
            columns also the labels themselves.
        inputs: which names are inputs, of items and columns by name; all but the labels unless told otherwise.
        limit: at most so many examples.
        batched: whether an item of an iterable is a batch; told from its label where `None`.
        label_dims: dimensions that the labels of a batch have, where a metric says it.

    Raises:
        SecateurError: it is none of these, empty, endless, or shuffled; items change, differ in shape where nothing
            says what is padding, or hold what is no number.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise SecateurError(f"limit must be a whole number of examples, at least 1, or None for all; got {limit!r}")
    read = _Reader(labels, inputs)
    if isinstance(source, Examples):
        return source.first(limit)
    if isinstance(source, Tensor):
        raise SecateurError("the data are one tensor: inputs or labels? Give (inputs, labels), or Examples(inputs)")
    if isinstance(source, Mapping):
        return _columns(source, read, labels).first(limit)
    if isinstance(source, tuple) and len(source) > 1 and all(isinstance(x, Tensor) and x.dim() for x in source):
        return Examples(source[:-1], source[-1]).first(limit)
    if (
        source is None
        or isinstance(source, str | bytes)
        or not (hasattr(source, "__iter__") or hasattr(source, "__getitem__"))
    ):
        raise SecateurError(
            "data must be a DataLoader, a Dataset or an iterable of (inputs, labels), a dictionary of tensors or "
            f"core.Examples; got {'text' if isinstance(source, str | bytes) else type(source).__name__}"
        )
    if isinstance(source, DataLoader) and isinstance(source.sampler, _SHUFFLING):
        raise SecateurError(
            "the DataLoader shuffles, so that its examples come in another order each time; give one with "
            "shuffle=False (a sweep draws an order of its own, the same each time)"
        )
    again, is_batch = _ways(source, batched)
    items = _read(source, read, limit, is_batch, label_dims)
    if not items.found:
        raise SecateurError("the data are empty: not one (inputs, labels) came; is the split or the filter right?")
    _check_again(items, again, read)
    return joined([one.inputs for one in items.found], [one.label for one in items.found], items.batched,
                  items.found[0].by_name, items.columns).first(limit)  # fmt: skip


@dataclass(frozen=True)
class _Items:
    found: list[Drawn]
    batched: bool
    columns: Columns


class _Reader:
    """What of an item is input, and what the label."""

    def __init__(self, labels: str | Tensor | None, inputs: Sequence[str] | None) -> None:
        self._label = labels if isinstance(labels, str) else None
        self._inputs = (inputs,) if isinstance(inputs, str) else inputs

    def __call__(self, item: Any, i: int) -> Drawn:
        if isinstance(item, Mapping):
            return self._named(item, self._label_in(item), i)
        if isinstance(item, tuple | list) and item:
            *given, label = item if len(item) > 1 else (*item, None)
            if isinstance(given[0], Mapping):
                if len(given) > 1:
                    raise SecateurError(
                        f"item {i} of the data has a dictionary and {len(given) - 1} input(s) beside it; "
                        "put all inputs into the dictionary, by name"
                    )
                return self._named(given[0], label, i)
            by_place = {str(place): tensor_of(value, f"input {place}", i) for place, value in enumerate(given)}
            return Drawn(by_place, None if label is None else tensor_of(label, "the label", i), False)
        if isinstance(item, tuple | list):
            raise SecateurError(f"item {i} of the data is empty; expected (input, label)")
        return Drawn({"0": tensor_of(item, "the input", i)}, None, False)

    def names(self, given: Mapping[str, Any]) -> list[str]:
        """Of the inputs in a dictionary."""
        label = self._label_name(given)
        names = list(self._inputs) if self._inputs is not None else [name for name in given if name != label]
        missing = [name for name in names if name not in given]
        if missing:
            raise SecateurError(f"the data have no {missing[0]!r}; by name they have {', '.join(map(str, given))}")
        return names

    def _named(self, given: Mapping[str, Any], label: Any, i: int) -> Drawn:
        found = {name: tensor_of(given[name], f"{name!r}", i) for name in self.names(given)}
        return Drawn(found, None if label is None else tensor_of(label, "the label", i), True)

    def _label_in(self, given: Mapping[str, Any]) -> Any:
        name = self._label_name(given)
        return None if name is None else given[name]

    def _label_name(self, given: Mapping[str, Any]) -> str | None:
        if self._label is not None:
            if self._label not in given:
                raise SecateurError(
                    f"the data have no labels {self._label!r}; by name they have {', '.join(map(str, given))}"
                )
            return self._label
        return next((name for name in LABEL_NAMES if name in given), None)


def _columns(source: Mapping[str, Any], read: _Reader, labels: str | Tensor | None) -> Examples:
    if isinstance(labels, Tensor):
        return Examples({name: source[name] for name in read.names(source)}, labels)  # type: ignore[arg-type]
    if any(isinstance(value, Dataset) or hasattr(value, "column_names") for value in source.values()):
        raise SecateurError(
            f"the data are several datasets, {', '.join(map(str, source))}; give the one to judge on: data['test'], say"
        )
    drawn = read(source, 0)
    if drawn.label is None:
        return Examples(dict(drawn.inputs))  # type: ignore[arg-type]
    return Examples(dict(drawn.inputs), drawn.label)  # type: ignore[arg-type]


def _ways(source: Any, batched: bool | None) -> tuple[Callable[[], Iterable[tuple[int, Any]]] | None, bool | None]:
    """How some items can be drawn again, with their numbers, and whether items are batches; `None` if not known."""
    if isinstance(source, DataLoader):
        return lambda: enumerate(source), source.batch_sampler is not None if batched is None else batched
    if isinstance(source, list | tuple):
        return None, batched
    if _is_map(source):

        def some() -> Iterator[tuple[int, Any]]:
            n = len(source)
            for i in torch.linspace(0, n - 1, min(n, TWICE)).long().tolist():
                yield i, source[i]

        return some, False if batched is None else batched
    once = iter(source) is source  # a generator is gone when it was read
    return None if once else (lambda: enumerate(source)), batched


def _is_map(source: Any) -> bool:
    return hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, IterableDataset)


def _read(source: Any, read: _Reader, limit: int | None, batched: bool | None, label_dims: Sequence[int]) -> _Items:
    kept: list[tuple[list[str], bool, bool]] = []  # names of its inputs, whether it has a label, whether by name
    columns, n = Columns(_n_items(source), limit=limit), 0
    for i, item in enumerate(_items_of(source)):
        if limit is not None and n >= limit:
            break
        drawn = read(item, i)
        if batched is None:
            batched = _is_batch(drawn, label_dims)
        kept.append((list(drawn.inputs), drawn.label is not None, drawn.by_name))
        size = len(drawn.tensors[0]) if batched and drawn.tensors[0].dim() else 1
        columns.add(drawn.by_column, size)
        n += size
    columns.close()
    parts = {name: iter(column.parts) for name, column in columns.by_name.items()}
    found = [
        Drawn({name: next(parts[name]) for name in names}, next(parts[None]) if has_label else None, by_name)
        for names, has_label, by_name in kept
    ]
    return _Items(found, bool(batched), columns)


def _n_items(source: Any) -> int | None:
    """That will come at most; `None` if nobody knows."""
    try:
        return len(source)
    except (TypeError, NotImplementedError):  # a loader of a stream has the method, and no answer
        return None


def _items_of(source: Any) -> Iterator[Any]:
    i = 0
    try:
        by_number = _is_map(source) and not isinstance(source, DataLoader)
        for item in (source[i] for i in range(len(source))) if by_number else iter(source):
            yield item
            i += 1
    except SecateurError:
        raise
    except Exception as error:  # of somebody else's code
        in_loader = isinstance(source, DataLoader)
        kind, said = type(error).__name__, first_line(error)
        if in_loader and (lines := str(error).strip().splitlines()) and _WORKER.match(lines[0]):
            said = lines[-1].strip()[:200].removeprefix(f"{kind}: ")  # above it the worker's traceback
        raise SecateurError(
            f"{'batch' if in_loader else 'item'} {i} of the data could not be read, {kind}: {said}; does "
            f"{_again_by_hand(by_number, i)} work?"
        ) from error


def _again_by_hand(by_number: bool, i: int) -> str:
    if by_number:
        return f"data[{i}]"
    return f"next(itertools.islice(data, {i}, None))" if i else "next(iter(data))"


def _is_batch(drawn: Drawn, label_dims: Sequence[int]) -> bool:
    """Whether an item of an iterable is a batch.

    Raises:
        SecateurError: that cannot be told.
    """
    label = drawn.label
    if (drawn.tensors[-1] if label is None else label).dim() == 0:
        return False
    if label is not None:
        sizes = {len(tensor) if tensor.dim() else 0 for tensor in drawn.tensors}
        may_be_batch, may_be_one = label.dim() in label_dims and len(sizes) == 1, label.dim() + 1 in label_dims
        if may_be_batch != may_be_one:
            return may_be_batch
    what = "there are no labels" if label is None else f"its label has shape {tuple(label.shape)}"
    raise SecateurError(
        f"is an item of the data one example or a batch? {what}: say batched=True or batched=False, or give a "
        "DataLoader"
    )


def _check_again(items: _Items, again: Callable[[], Iterable[tuple[int, Any]]] | None, read: _Reader) -> None:
    """Refuse items that are others when they are drawn again."""
    if again is None:
        return
    n, n_tried, changed = 0, 0, []
    for i, item in itertools.islice(again(), TWICE):
        if n >= TWICE or i >= len(items.found):
            break
        before, now = items.found[i], read(item, i)
        n_tried += 1
        n += len(before.tensors[0]) if items.batched and before.tensors[0].dim() else 1
        if not _same(before, now):
            changed.append(i)
    if changed:
        raise SecateurError(
            f"item {changed[0]} of the data is another when it is drawn again ({len(changed)} of {n_tried} that were "
            "tried): the order is shuffled or the items are augmented at random, so every load would give other "
            "examples; shuffle=False and random transforms off, or draw the items once and keep them in a list"
        )


def _same(a: Drawn, b: Drawn) -> bool:
    if a.inputs.keys() != b.inputs.keys() or (a.label is None) != (b.label is None):
        return False
    return all(
        x.shape == y.shape and x.dtype == y.dtype and torch.allclose(x, y, rtol=0, atol=0, equal_nan=True)
        for x, y in zip(a.tensors, b.tensors, strict=True)
    )
