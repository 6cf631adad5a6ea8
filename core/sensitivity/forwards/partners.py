"""Whether an example's output depends on which others share its batch: then its score is not its own."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from core.pruning.equality import TOLERANCE, distance, terms_of, tolerance_of
from core.sensitivity.forwards.batches import Batches
from core.workload.metric import Metric
from core.workload.outputs import tensors_of

Run = Callable[[tuple[Tensor, ...]], Any]
PLAIN = 1e-3  # by which outputs of one module are told apart, where nothing is known of how they round

ALONE = "or give the workload batch_size=1, which measures every example alone"


@dataclass(frozen=True)
class OtherBatch:
    """Examples of the first batch among others.

    Attributes:
        positions: of its examples in the evaluation data: (m,); m is not the size of the first batch.
        rows: of some examples in the first batch: (k,).
        here: rows of the same examples in this one: (k,).
    """

    positions: Tensor
    rows: Tensor
    here: Tensor


def other_batches(batches: Batches) -> tuple[OtherBatch, ...]:
    """Batches in which examples of the first one meet other examples, in another order and number; none if they are
    alone in theirs."""
    first = batches.positions[0]
    n = len(first)
    if n < 2:
        return ()
    k = (n + 1) // 2
    rest = batches.positions[1][:n] if len(batches) > 1 else first[k:]
    rest = torch.cat([rest, rest[:1]]) if len(rest) + k == n else rest
    rows = torch.arange(k).flip(0)
    mixed = OtherBatch(torch.cat([rest, first[rows]]), rows, torch.arange(k) + len(rest))
    ends = torch.tensor([n - 1, 0])
    return (mixed, OtherBatch(first[ends], ends, torch.arange(2))) if n > 2 else (mixed,)


def dependence(
    model: nn.Module, run: Run, inputs: Callable[[Tensor], tuple[Tensor, ...]], batches: Batches, theirs: Any
) -> str | None:
    """How an example's output depends on the others in its batch, in words; `None` if it does not.

    Numbers round otherwise in a batch of another size, so that what rounding explains is no difference: see
    `core.pruning.equality`. What has no row for each example (a loss of the batch, say) is not looked at.

    Args:
        model: in evaluation mode, on its device.
        run: gives its outputs, and leaves it as it was.
        inputs: of the examples at some positions.
        batches: of its examples.
        theirs: outputs on the first batch.
    """
    n = len(batches.positions[0])
    for other in other_batches(batches):
        m = len(other.positions)
        ours = run(inputs(other.positions))
        a, b = tensors_of(theirs), tensors_of(ours)
        told = [i for i, (x, y) in enumerate(zip(a, b, strict=False)) if _per_example(x, n) and _per_example(y, m)]
        pairs = [(a[i].detach()[other.rows.to(a[i].device)], b[i].detach()[other.here.to(b[i].device)]) for i in told]
        if any(x.shape != y.shape for x, y in pairs):
            by = "has another shape"
        elif all(_is_rounding(x, y) for x, y in pairs):
            continue
        else:
            terms = terms_of(model, inputs(batches.positions[0]))
            chosen = [terms[i] for i in told] if terms is not None and len(terms) == len(a) else None
            found = distance([x for x, _ in pairs], [y for _, y in pairs], chosen)
            if found is not None and found <= tolerance_of(theirs):
                continue
            by = f"is up to {found:.2g} apart (relative)"
        first = (inputs(batches.positions[0]), n, other.rows)
        return f"{by} in another batch; {_first_module(model, run, first, (inputs(other.positions), m, other.here))}"
    return None


def dependence_of_scores(metric: Metric, outputs: Any, labels: Tensor) -> str | None:
    """How an example's score depends on the others that are scored with it, in words; `None` if it does not.

    The same outputs are scored together and half of them alone, so that nothing has to be told from rounding.

    Args:
        metric: a metric of labels, or one against the dense model, which is then held against shuffled outputs.
        outputs: of the dense model on n examples.
        labels: of the same examples.
    """
    n = len(labels)
    rows = torch.arange((n + 1) // 2).flip(0)

    def taken(values: Any, at: Tensor) -> Any:
        return pytree.tree_map_only(Tensor, lambda x: x[at.to(x.device)] if _per_example(x, n) else x, values)

    try:
        reference = labels if metric.against == "labels" else metric.read(taken(outputs, torch.arange(n).flip(0)))
        read = metric.read(outputs)
        if n < 2 or not all(_per_example(tensor, n) for tensor in tensors_of(read)):
            return None
        together = metric.score(read, reference).detach().float()[rows.to(labels.device)]
        alone = metric.score(taken(read, rows), taken(reference, rows)).detach().float()
    except Exception:  # what is wrong with it is said where it is measured
        return None
    if together.shape != alone.shape or torch.allclose(together, alone, rtol=1e-4, atol=1e-5, equal_nan=True):
        return None
    far = (together - alone).abs().max().item()
    return f"is {far:.2g} apart when other examples are scored with it; let the metric score each from itself alone"


def _per_example(tensor: Tensor, n: int) -> bool:
    return tensor.dim() > 0 and tensor.shape[0] == n


def _is_rounding(x: Tensor, y: Tensor) -> bool:
    """Whether entries are so near that nobody has to ask how they round."""
    if not x.is_floating_point():
        return torch.equal(x, y)
    x, y = x.double(), y.double()
    same = (x == y) | (x.isnan() & y.isnan())
    finite = x[x.isfinite()].abs()
    usual = finite.median() if finite.numel() else x.new_zeros(())
    return bool((same | ((x - y).abs() <= TOLERANCE * (x.abs() + usual))).all())


Rows = tuple[tuple[Tensor, ...], int, Tensor]  # inputs of a batch, its size, and rows of it


def _first_module(model: nn.Module, run: Run, first: Rows, other: Rows) -> str:
    """Names the first module that gives other outputs for the same examples, and what to do about it."""
    seen = _seen(model, run, *first)
    again = _seen(model, run, *other)
    for path, (given, made) in again.items():
        before = seen.get(path)
        if before is None or not _apart(before[1], made):
            continue
        module = model.get_submodule(path)
        kind = type(module).__name__
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is None:
            return (
                f"the first module that differs is {path} ({kind}), which has no running statistics: give it some "
                "(track_running_stats=True, and passes over training data in training mode)"
            )
        if not path:
            break
        if _apart(before[0], given):
            return (
                f"what goes into {path} ({kind}) differs already, so the code before it mixes examples: let it compute "
                f"each from itself alone, {ALONE}"
            )
        return (
            f"the first module that differs is {path} ({kind}): let it compute each example from itself alone, {ALONE}"
        )
    return f"the code of the model itself mixes examples: let it compute each from itself alone, {ALONE}"


def _apart(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return any(x.shape != y.shape or not (distance(x, y) or 0.0) <= PLAIN for x, y in zip(a, b, strict=False))


def _seen(
    model: nn.Module, run: Run, inputs: tuple[Tensor, ...], n: int, rows: Tensor
) -> dict[str, tuple[list[Tensor], list[Tensor]]]:
    """Of every module, in the order in which they end, what it was given and made for some examples."""
    found: dict[str, tuple[list[Tensor], list[Tensor]]] = {}

    def of_rows(values: Any) -> list[Tensor]:
        # n examples may have been laid side by side with their positions: (n * length, ...)
        whole = [t for t in tensors_of(values) if t.dim() and t.shape[0] and t.shape[0] % n == 0]
        return [t.detach().reshape(n, -1)[rows.to(t.device)].clone() for t in whole]

    with ExitStack() as hooks:
        for path, module in model.named_modules():

            def note(_m: nn.Module, args: Any, output: Any, path: str = path) -> None:
                found.setdefault(path, (of_rows(args), of_rows(output)))

            hooks.callback(module.register_forward_hook(note).remove)
        run(inputs)
    return found
