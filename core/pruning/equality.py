"""Whether a shrunk model does what the masked one does; and if not, from which layer on."""

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.workload.outputs import tensors_of

TOLERANCE = 1e-5  # of float32 results: fewer terms are added up in another order


class NotEqualError(SecateurError):
    """A shrunk model that gives other outputs than the masked one."""


@dataclass(frozen=True)
class Difference:
    """How far two models' outputs are apart.

    Attributes:
        largest: absolute difference of any two entries, divided by the largest absolute entry of the masked model's
            output on that batch.
        n: examples that were compared.
    """

    largest: float
    n: int


def compared(masked: nn.Module, shrunk: nn.Module, batches: Iterable[Sequence[Tensor]]) -> Difference:
    """Compare the outputs of two models, batch by batch.

    Models of shorter types than float32 are compared as copies in float32, for their own rounding would hide much; if
    they do not run in it, in their own type and to what that can tell apart.

    Args:
        masked: a copy with masks on, in evaluation mode.
        shrunk: in evaluation mode.
        batches: inputs of each.

    Raises:
        NotEqualError: an output has another shape, or differs by more than `TOLERANCE`, with the first layer that does;
            or the shrunk model cannot run.
    """
    largest, n, is_long = 0.0, 0, True
    with torch.inference_mode():
        for number, inputs in enumerate(batches):
            if number == 0:
                masked, shrunk, is_long = _in_float32(masked, shrunk, inputs)
            given = tuple(x.float() if is_long and _is_short(x) else x for x in inputs)
            theirs = masked(*given)
            try:
                ours = shrunk(*given)
            except Exception as error:
                raise NotEqualError(_cannot_run(shrunk, given, error)) from error
            found = distance(theirs, ours)
            if found is None or not found <= tolerance_of(theirs):
                raise NotEqualError(_first_difference(masked, shrunk, given, found))
            largest, n = max(largest, found), n + len(inputs[0])
    return Difference(largest, n)


def _is_short(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and torch.finfo(tensor.dtype).bits < 32


def _in_float32(masked: nn.Module, shrunk: nn.Module, inputs: Sequence[Tensor]) -> tuple[nn.Module, nn.Module, bool]:
    """Both models in float32, and whether they are; copies, where they are not of that type anyway."""
    if not any(_is_short(tensor) for model in (masked, shrunk) for tensor in (*model.parameters(), *model.buffers())):
        return masked, shrunk, not any(_is_short(tensor) for tensor in inputs)
    longer = copy.deepcopy(masked).float()
    try:
        longer(*(x.float() if _is_short(x) else x for x in inputs))
    except Exception:  # a type that is written out in its code
        return masked, shrunk, False
    return longer, copy.deepcopy(shrunk).float(), True


def distance(theirs: Any, ours: Any) -> float | None:
    """As `Difference.largest`; `None` if the two are not of one shape."""
    first, second = tensors_of(theirs), tensors_of(ours)
    if [tensor.shape for tensor in first] != [tensor.shape for tensor in second]:
        return None
    largest = 0.0
    for a, b in zip(first, second, strict=True):
        if torch.equal(a, b) or not a.numel():  # also infinities, which have no difference
            continue
        x, y = a.double(), b.double()
        same = (x == y) | (x.isnan() & y.isnan())
        apart = torch.where(same, 0.0, (x - y).abs()).max().item()
        finite = x[x.isfinite()]
        size = finite.abs().max().item() if len(finite) else 0.0
        if apart != apart or not size:
            return apart if apart != apart else math.inf
        largest = max(largest, apart / size)
    return largest


def tolerance_of(outputs: Any) -> float:
    """How far outputs may be apart: `TOLERANCE`, of types shorter than float32 what they can tell apart."""
    kinds = [tensor.dtype for tensor in tensors_of(outputs) if tensor.is_floating_point()]
    return max([TOLERANCE, *(16 * torch.finfo(kind).eps for kind in kinds if torch.finfo(kind).bits < 32)])


def _cannot_run(shrunk: nn.Module, inputs: Sequence[Tensor], error: Exception) -> str:
    begun: list[str] = []
    with _watched(shrunk, lambda path, _: begun.remove(path), begun.append):
        try:
            shrunk(*inputs)
        except Exception as again:
            error = again
    at = begun[-1] if begun and begun[-1] else "the model's own code"
    return (
        f"without these channels {at} raises {type(error).__name__}: {str(error).splitlines()[0][:200]}; "
        "sizes are written out in its code?"
    )


def _first_difference(masked: nn.Module, shrunk: nn.Module, inputs: Sequence[Tensor], found: float | None) -> str:
    """Names the first layer of which the outputs are of one shape in both models, and differ."""
    seen: dict[str, list[Tensor]] = {}
    apart: list[str] = []

    def note(path: str, output: Any) -> None:
        if path not in seen:
            seen[path] = [tensor.detach().clone() for tensor in tensors_of(output)]

    def look(path: str, output: Any) -> None:
        far = distance(seen.get(path, []), output)
        if far is not None and not far <= tolerance_of(output):
            apart.append(path)

    with _watched(masked, note):
        masked(*inputs)
    with _watched(shrunk, look):
        shrunk(*inputs)
    by = "outputs of another shape" if found is None else f"outputs up to {found:.2g} apart (relative)"
    where = f"; the first layer that differs is {apart[0] or 'the whole model'}" if apart else ""
    return f"the shrunk model and the masked one give {by}{where}; an operation mixes these channels with others"


@contextmanager
def _watched(model: nn.Module, after: Any, before: Any = None) -> Iterator[None]:
    handles = []
    for path, module in model.named_modules():
        handles.append(module.register_forward_hook(lambda _m, _a, out, path=path: after(path, out)))
        if before is not None:
            handles.append(module.register_forward_pre_hook(lambda _m, _a, path=path: before(path)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
