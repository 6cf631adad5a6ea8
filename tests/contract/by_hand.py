"""What is right, in plain torch: nothing of Secateur's decides a number here."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tests.contract.case import Case

SIZE = 4  # examples of a pass; what is measured beside it takes five, so who mixes the examples of a batch shows


def outputs_of(model: nn.Module, case: Case, size: int = SIZE) -> Tensor:
    """What a model gives of all examples, float64; inputs are copies."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(case.inputs[0]), size):
            given = tuple(x[start : start + size].clone() for x in case.inputs)
            parts.append(case.pick(model(*given)).clone().double())
    return torch.cat(parts)


def number_of(case: Case, outputs: Tensor, dense: Tensor) -> float:
    """The metric of outputs (N, ...), by a loop over the examples."""
    return JUDGES[case.judge](outputs, case.labels if case.labels is not None else dense)


def _log_p(logits: Tensor, label: int) -> float:
    return (logits[label] - logits.logsumexp(0)).item()


def _accuracy_of(rows: Iterator[tuple[Tensor, int]]) -> float:
    hits = [int(max(range(len(row)), key=lambda i: row[i].item()) == label) for row, label in rows if label != -100]
    return sum(hits) / len(hits)


def _cross_entropy(outputs: Tensor, labels: Tensor) -> float:
    pairs = zip(outputs, labels.tolist(), strict=True)
    losses = [-_log_p(row, label) for row, label in pairs if label != -100]
    return sum(losses) / len(losses)


def _binary(outputs: Tensor, labels: Tensor) -> float:
    return sum((x > 0) == (y == 1) for x, y in zip(outputs.flatten().tolist(), labels.tolist(), strict=True)) / len(
        labels
    )


def _squared(outputs: Tensor, labels: Tensor) -> float:
    return sum((x - y) ** 2 for x, y in zip(outputs.flatten().tolist(), labels.tolist(), strict=True)) / len(labels)


def _perplexity(outputs: Tensor, labels: Tensor) -> float:
    rows = zip(outputs.flatten(0, 1), labels.flatten().tolist(), strict=True)
    losses = [-_log_p(row, label) for row, label in rows if label != -100]
    return math.exp(sum(losses) / len(losses))


def _token_accuracy(outputs: Tensor, labels: Tensor) -> float:
    return _accuracy_of(zip(outputs.flatten(0, 1), labels.flatten().tolist(), strict=True))


def _pixel_accuracy(outputs: Tensor, labels: Tensor) -> float:
    return _accuracy_of(zip(outputs.movedim(1, -1).flatten(0, 2), labels.flatten().tolist(), strict=True))


def _label_accuracy(outputs: Tensor, labels: Tensor) -> float:
    return ((outputs > 0) == (labels > 0.5)).double().mean().item()


def _cosine(outputs: Tensor, dense: Tensor) -> float:
    cosines = []
    for a, b in zip(outputs, dense, strict=True):
        size = a.norm() * b.norm()
        cosines.append(1.0 if bool((a == b).all()) else (a @ b / size).item() if size > 0 else 0.0)
    return sum(cosines) / len(cosines)


JUDGES: Mapping[str, Callable[[Tensor, Tensor], float]] = {
    "cross entropy": _cross_entropy,
    "binary accuracy": _binary,
    "squared error": _squared,
    "perplexity": _perplexity,
    "token accuracy": _token_accuracy,
    "pixel accuracy": _pixel_accuracy,
    "label accuracy": _label_accuracy,
    "cosine": _cosine,
}


def least(weight: Tensor, n: int) -> list[int]:
    """Flat positions of the n entries of least size, ties by position."""
    sizes = weight.detach().abs().double().flatten().tolist()
    return sorted(range(len(sizes)), key=lambda i: (sizes[i], i))[:n]


@contextmanager
def weights_zeroed(model: nn.Module, name: str, sparsity: float) -> Iterator[None]:
    """Zero `round(sparsity n)` entries of a parameter."""
    parameter = dict(model.named_parameters(remove_duplicate=False))[name]
    kept = parameter.detach().clone()
    with torch.no_grad():
        gone = least(parameter, round(sparsity * parameter.numel()))
        parameter.view(-1)[gone] = 0
    try:
        yield
    finally:
        with torch.no_grad():
            parameter.copy_(kept)


LAST = (nn.Linear, nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)


@contextmanager
def channels_zeroed(model: nn.Module, group: Any, units: Sequence[int]) -> Iterator[None]:
    """Zero channels where they flow: what their layers give, and what the layers behind read.

    Args:
        model: changed while inside.
        group: where Secateur says that each unit lies; only the places are taken from it.
        units: that go.
    """
    handles, kept = [], []
    for one in group.slices:
        path, _, attribute = one.tensor.rpartition(".")
        module = model.get_submodule(path)
        where = sorted({p for unit in units for p in one.positions[unit]})
        known = isinstance(module, (*LAST, nn.modules.conv._ConvNd)) or "Norm" in type(module).__name__
        if one.role == "parameter" or not known:
            tensor = getattr(module, attribute)
            kept.append((tensor, tensor.detach().clone()))
            with torch.no_grad():
                tensor.index_fill_(one.dim, torch.tensor(where, dtype=torch.long), 0)
        elif one.role == "inputs":
            handles.append(
                module.register_forward_pre_hook(lambda m, args, at=where: (_without(m, args[0], at), *args[1:]))
            )
        else:
            handles.append(module.register_forward_hook(lambda m, _args, out, at=where: _without(m, out, at)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        with torch.no_grad():
            for tensor, old in reversed(kept):  # a recurrent weight is there twice
                tensor.copy_(old)


def _without(module: nn.Module, x: Tensor, at: Sequence[int]) -> Tensor:
    x = x.clone()
    x.index_fill_(-1 if isinstance(module, LAST) else 1, torch.tensor(at, dtype=torch.long), 0)
    return x


def smallest_units(model: nn.Module, group: Any, sparsity: float) -> list[int]:
    """Channels of the smallest filters, summed over the layers that make them; equally many of every part."""
    n = len(group.parts)
    size = [0.0] * n
    for one in group.slices:
        tensor = model.get_parameter(one.tensor).detach().double().abs() if one.role == "outputs" else None
        if tensor is not None and tensor.ndim > 1:
            rows = tensor.movedim(one.dim, 0).flatten(1).sum(1).tolist()
            size = [size[unit] + sum(rows[p] for p in one.positions[unit]) for unit in range(n)]
    parts = sorted(set(group.parts))
    stay = -(-(n - round(sparsity * n)) // len(parts))
    gone = []
    for part in parts:
        own = [unit for unit in range(n) if group.parts[unit] == part]
        gone += sorted(own, key=lambda unit: (size[unit], unit))[: len(own) - stay]
    return sorted(gone)


@contextmanager
def block_skipped(model: nn.Module, path: str) -> Iterator[None]:
    """What comes into a block goes out of it."""

    def pass_on(_module: nn.Module, args: Any, kwargs: Any, out: Any) -> Any:
        came = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        return (came, *out[1:]) if isinstance(out, tuple) else came

    handle = model.get_submodule(path).register_forward_hook(pass_on, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def apart(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference in parts of the largest entry of a kind: constants of −1e9 and the like are held alone."""
    if ours.shape != theirs.shape:
        return math.inf
    a, b = ours.double(), theirs.double()
    put = (a.abs() > 1e6) | ~a.isfinite()
    if bool((put != ((b.abs() > 1e6) | ~b.isfinite())).any()) or bool((a.isnan() != b.isnan()).any()):
        return math.inf
    if bool(put.all()):
        return 0.0
    by_column = (a - b).abs().masked_fill(put, 0)
    size = a.abs().masked_fill(put, 0)
    if a.dim() > 1:  # coordinates of several hundred beside scores: each place by itself
        by_column, size = by_column.amax(0), size.amax(0)
    return (by_column / size.clamp(min=1e-3)).max().item()


def twin(model: nn.Module) -> nn.Module:
    """A copy that may be spoilt."""
    return copy.deepcopy(model)
