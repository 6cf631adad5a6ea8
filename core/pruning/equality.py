"""Whether a shrunk model does what the masked one does; and if not, from which layer on.

What rounding may do at a place of the outputs is told by rounding itself: the model runs once in double precision, and
where its outputs move, numbers of that size were added up there. So a constant of −1e9 at illegal places, or a
coordinate in pixels beside a score, says nothing of the others, as it would if differences were held against the
largest entry of all.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.pruning.coupling.failures import in_words
from core.workload.kept_state import sharing_copy
from core.workload.outputs import tensors_of

TOLERANCE = 1e-5  # of float32 results: fewer terms are added up in another order
HUGE = 1e20  # an entry as large as that was put there, not added up


class NotEqualError(SecateurError):
    """A shrunk model that gives other outputs than the masked one."""


@dataclass(frozen=True)
class Difference:
    """How far two models' outputs are apart.

    Attributes:
        largest: absolute difference of any two entries, in parts of the masked model's own entry there or of what was
            added up to make it, whichever is larger (see `terms_of`).
        n: examples that were compared.
    """

    largest: float
    n: int


Terms = list[Tensor] | None  # of each output the size of what was added up, per place; None where nothing tells


def compared(
    masked: nn.Module, shrunk: nn.Module, batches: Iterable[Sequence[Tensor]], terms: Terms = None
) -> Difference:
    """Compare the outputs of two models, batch by batch.

    Models of shorter types than float32 are compared as copies in float32, for their own rounding would hide much; if
    they do not run in it, in their own type and to what that can tell apart.

    Args:
        masked: a copy with masks on, in evaluation mode.
        shrunk: in evaluation mode.
        batches: inputs of each.
        terms: as `terms_of` gives them of the dense model, where somebody has them already.

    Raises:
        NotEqualError: an output has another shape, or differs by more than `TOLERANCE`, with the first layer that does;
            the outputs hold no number that could tell; or the shrunk model cannot run.
    """
    largest, n, is_long = 0.0, 0, True
    with torch.inference_mode():
        for number, inputs in enumerate(batches):
            if number == 0:
                masked, shrunk, is_long = _in_float32(masked, shrunk, inputs)
                terms = terms_of(masked, inputs) if terms is None else terms
            given = tuple(x.float() if is_long and is_short(x) else x for x in inputs)
            theirs = masked(*given)
            try:
                ours = shrunk(*given)
            except Exception as error:
                raise NotEqualError(_cannot_run(shrunk, given, error)) from error
            found = distance(theirs, ours, terms)
            if found is None or not found <= tolerance_of(theirs):
                raise NotEqualError(_first_difference(masked, shrunk, given, found))
            largest, n = max(largest, found), n + len(inputs[0])
    return Difference(largest, n)


def is_short(tensor: Tensor) -> bool:
    """Whether a tensor holds numbers shorter than float32."""
    return tensor.is_floating_point() and torch.finfo(tensor.dtype).bits < 32


def _in_float32(masked: nn.Module, shrunk: nn.Module, inputs: Sequence[Tensor]) -> tuple[nn.Module, nn.Module, bool]:
    """Both models in float32, and whether they are; copies, where they are not of that type anyway."""
    if not any(is_short(tensor) for model in (masked, shrunk) for tensor in (*model.parameters(), *model.buffers())):
        return masked, shrunk, not any(is_short(tensor) for tensor in inputs)
    longer = copy.deepcopy(masked).float()
    try:
        longer(*(x.float() if is_short(x) else x for x in inputs))
    except Exception:  # a type that is written out in its code
        return masked, shrunk, False
    return longer, copy.deepcopy(shrunk).float(), True


def distance(theirs: Any, ours: Any, terms: Terms = None) -> float | None:
    """As `Difference.largest`.

    Args:
        theirs: outputs to compare with.
        ours: outputs that should be the same.
        terms: as of `terms_of`; without, each difference is held against the largest entry among those that differ.

    Returns:
        0.0 for the same bits; infinity where whole numbers differ, where one is no number and the other is, and where
        there is no finite real number to compare; `None` if the two are not of one shape.
    """
    first, second = tensors_of(theirs), tensors_of(ours)
    if [tensor.shape for tensor in first] != [tensor.shape for tensor in second]:
        return None
    largest, n_told = 0.0, 0
    for at, (a, b) in enumerate(zip(first, second, strict=True)):
        x, y = (tensor.to(torch.complex128 if tensor.is_complex() else torch.float64) for tensor in (a, b))
        if not (a.is_floating_point() or a.is_complex()):  # a choice hides what it was chosen from
            largest = max(largest, 0.0 if torch.equal(x, y) else math.inf)
            continue
        n_told += int(x.isfinite().sum())
        same = (x == y) | (x.isnan() & y.isnan())
        if bool(same.all()):
            continue
        size = torch.maximum(x.abs(), _terms_like(terms[at] if terms and at < len(terms) else None, x, same))
        apart = torch.where(same, 0.0, (x - y).abs() / size)
        largest = max(largest, torch.nan_to_num(apart, nan=math.inf).max().item())
    return largest if n_told else math.inf


def terms_of(model: nn.Module, inputs: Sequence[Tensor]) -> Terms:
    """How large the numbers are that are added up at each place of a model's outputs.

    The model runs in double precision, too, on a copy that is long only where it is at work; float32 rounds by 2⁻²⁴ of
    what it adds up, so the difference of both tells. A place is what all examples share: the largest of any example
    counts. A few examples may all happen to agree at a place, so it gets at least an eighth of what is usual along each
    of the lines through it (a score at every position, a position's every score), and a thousandth of what is usual.

    Returns:
        Of each output a float64 tensor, its first dimension 1; `None` where that cannot be told: the model is not in
        float32, or does not run in double precision.
    """
    try:
        with torch.inference_mode():
            # before the model runs: what it writes into buffers is no rounding
            exact = exact_outputs(model, [x.double() if x.is_floating_point() else x for x in inputs])
            short = tensors_of(model(*inputs))
    except Exception:
        return None
    if [tensor.shape for tensor in short] != [tensor.shape for tensor in exact]:
        return None
    terms = [_rounded_from(a, b) for a, b in zip(short, exact, strict=True)]
    return terms if any(bool((tensor > 0).any()) for tensor in terms) else None


def exact_outputs(model: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Outputs of a model in double precision.

    The members of its stacks are made long one after the other, as they are called, so that the whole model is never
    there a second time in twice its size. Where code outside of a member looks at its weights, types do not fit, which
    raises, and then all of it is made long.

    Args:
        model: in float32; only read.
        inputs: in double precision already.

    Raises:
        Exception: it does not run in double precision.
    """
    try:
        found = tensors_of(_long_by_turns(sharing_copy(model))(*(x.clone() for x in inputs)))
        if all(x.dtype == torch.float64 for x in found if x.is_floating_point()):
            return found
    except Exception:
        pass
    return tensors_of(copy.deepcopy(model).double()(*inputs))


def _long_by_turns(twin: nn.Module) -> nn.Module:
    """Of a sharing copy: members of stacks are long while they are called, all else from now on."""
    members = list(dict.fromkeys(_members(twin)))
    theirs = {id(parameter) for member in members for parameter in member.parameters()}
    for parameter in twin.parameters():
        if parameter.is_floating_point() and id(parameter) not in theirs:
            parameter.data = parameter.data.double()
    for module in twin.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                module._buffers[name] = buffer.double()
    for member in members:
        vars(member)["forward"] = _long_meanwhile(member, member.forward)  # hooks would keep torch off its fused paths
    return twin


def _long_meanwhile(member: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        own = [(one, one.data) for one in member.parameters() if one.dtype == torch.float32]
        try:
            for parameter, data in own:
                parameter.data = data.double()
            return forward(*args, **kwargs)
        finally:
            for parameter, data in own:
                parameter.data = data

    return run


def _members(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        stacks = (nn.Sequential, nn.ModuleList)
        if isinstance(module, stacks) and not isinstance(child, stacks):
            yield child
        else:
            yield from _members(child)


def _rounded_from(short: Tensor, exact: Tensor) -> Tensor:
    if short.dtype != torch.float32 or exact.dtype != torch.float64 or not short.dim() or not short.numel():
        return torch.zeros((1,) * max(1, short.dim()), dtype=torch.float64)
    x = short.double()
    # what the entry's own size explains is no sign of larger terms: a constant of −1e30 is another number in float32
    noise = ((x - exact).abs() - x.abs() * 2**-23).clamp(min=0)
    noise = torch.where((x.abs() < HUGE) & (exact.abs() < HUGE), noise, 0.0)  # also the smallest number of each type
    size = noise.amax(0, keepdim=True) * 2**24
    told = size[size > 0]
    if not told.numel():
        return size
    if size.dim() > 2:
        lines = size.median(1, keepdim=True).values
        for line in range(2, size.dim()):
            lines = torch.minimum(lines, size.median(line, keepdim=True).values)
        size = torch.maximum(size, lines / 8)
    return size.clamp(min=1e-3 * told.median().item())


def _terms_like(terms: Tensor | None, x: Tensor, same: Tensor) -> Tensor:
    """Terms for each entry of `x`: those of its place, or where other lengths have other places the usual ones."""
    if terms is not None and bool((terms > 0).any()):
        return terms.to(x.device) if terms.shape[1:] == x.shape[1:] else terms[terms > 0].median().to(x.device)
    odd = x[~same & x.isfinite()].abs()
    return odd.max() if odd.numel() else torch.tensor(0.0, dtype=torch.float64)


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
    at = begun[-1] if begun else ""
    return in_words(error, at, type(shrunk.get_submodule(at)).__name__)


def _first_difference(masked: nn.Module, shrunk: nn.Module, inputs: Sequence[Tensor], found: float | None) -> str:
    """Names the first layer of which the outputs are of one shape in both models, and differ."""
    seen: dict[str, list[Tensor]] = {}
    apart: list[str] = []

    def plain(output: Any) -> list[Tensor]:  # of nested ones nobody can ask for the shape
        return [tensor.detach().clone() for tensor in tensors_of(output) if not tensor.is_nested]

    def note(path: str, output: Any) -> None:
        if path not in seen:
            seen[path] = plain(output)

    def look(path: str, output: Any) -> None:
        far = distance(seen[path], plain(output)) if seen.get(path) else None
        if far is not None and not far <= tolerance_of(output):
            apart.append(path)

    with _watched(masked, note):
        masked(*inputs)
    with _watched(shrunk, look):
        shrunk(*inputs)
    if found is None:
        return (
            "the shrunk model and the masked one give outputs of another shape: these channels, or as many numbers "
            "made of them, are what the model gives"
        )
    if math.isinf(found):
        by = "outputs in which no number can tell them apart or equal (all are whole numbers, infinite, or not numbers)"
    else:
        by = f"outputs up to {found:.2g} apart (relative)"
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
