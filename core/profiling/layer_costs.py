"""What each layer of a model costs: parameters, operations, time. Told by hooks that are gone afterwards."""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from core.profiling.memory import unfused, without_compiler
from core.profiling.report import BETWEEN, LayerCost


class Meter:
    """What a reading that only grows, a clock say, grows by inside each module, without what it calls.

    Args:
        model: hooked while the context is open, and only then.
        read: the reading.

    Attributes:
        own: by path of the module ("" is the model itself), since `reset`; a module is there once it was called.
    """

    def __init__(self, model: nn.Module, read: Callable[[], float]) -> None:
        self._model, self._read = model, read
        self.own: dict[str, float] = {}
        self._open: list[list[Any]] = []  # of modules at work: path, reading on entry, what its children took

    def reset(self) -> None:
        """Begin a new pass."""
        self.own, self._open = {}, []

    def __enter__(self) -> "Meter":
        self._hooks = []
        for path, module in self._model.named_modules():
            self._hooks.append(module.register_forward_pre_hook(self._entering(path), prepend=True))
            self._hooks.append(module.register_forward_hook(self._leave))
        return self

    def __exit__(self, *raised: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _entering(self, path: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: Any) -> None:
            self._open.append([path, self._read(), 0.0])

        return enter

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        path, begun, inside = self._open.pop()
        spent = self._read() - begun
        self.own[path] = self.own.get(path, 0.0) + spent - inside
        if self._open:
            self._open[-1][2] += spent


@contextmanager
def counted_flops() -> Iterator[FlopCounterMode]:
    """Counts operations inside the block.

    What torch does not count as one kernel is opened up: fused attention, and recurrent layers, which oneDNN and cuDNN
    run whole. Bilinear layers are counted by formula, and the attention of the CPU where a model insists on it.
    """
    counter = FlopCounterMode(display=False, custom_mapping=dict(_BY_FORMULA))
    with (
        torch.no_grad(),
        unfused(),
        sdpa_kernel(SDPBackend.MATH),
        _unfused_recurrence(),
        counter,
    ):
        without_compiler(counter.mode)
        yield counter


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _bilinear_flops(first: Any, weight: Any, *_: Any, **__: Any) -> int:
    """Of x1 W x2 for every output: (n, in1), (out, in1, in2) and (n, in2), given as shapes."""
    n_out, n_first, n_second = weight
    return int(2 * math.prod(first) // n_first * n_out * (n_first * n_second + n_second))


FUSED_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_BY_FORMULA = {torch.ops.aten._trilinear: _bilinear_flops, FUSED_ATTENTION: _attention_flops}


@contextmanager
def _unfused_recurrence() -> Iterator[None]:
    """Without oneDNN and cuDNN; only these two switches, for `flags` of the first sets others too, with a warning."""
    before = torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    torch._C._set_cudnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before[0])
        torch._C._set_cudnn_enabled(before[1])


def flops_by_module(model: nn.Module, inputs: Sequence[Tensor]) -> dict[str, float]:
    """Operations of one example in each module without those it calls, by path; `inputs` are one batch."""
    with counted_flops() as counter, Meter(model, lambda: float(counter.get_total_flops())) as meter:
        model(*inputs)
    n = len(inputs[0])
    return {path: flops / n for path, flops in meter.own.items()}


def layer_costs(
    model: nn.Module, flops: dict[str, float], passes: Sequence[dict[str, float]], batch: int, threads: int
) -> tuple[LayerCost, ...]:
    """A row for every module with parameters of its own, and one for all others together.

    What a module that is never called holds (the output projection inside torch's attention) belongs to the nearest
    one around it that is.

    Args:
        model: what was measured.
        flops: by path, as `flops_by_module` gives them.
        passes: seconds by path, of every pass that was timed.
        batch, threads: of these.
    """
    called = {path for one in (flops, *passes) for path in one}
    parameters: dict[str, int] = {}
    seen: set[nn.Parameter] = set()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        path = name.rpartition(".")[0]
        while path and path not in called:
            path = path.rpartition(".")[0]
        parameters[path] = parameters.get(path, 0) + (0 if parameter in seen else parameter.numel())
        seen.add(parameter)
    seconds = {path: statistics.median(one.get(path, 0.0) for one in passes) for path in called} if passes else {}
    total = sum(seconds.values())
    rows = [path for path, _ in model.named_modules() if path in parameters]
    others = sorted(called - set(rows))
    costs = [(path or "model", parameters[path], [path]) for path in rows]
    costs += [(BETWEEN, 0, others)] if others else []
    return tuple(
        LayerCost(
            name,
            n_parameters,
            sum(flops.get(path, 0.0) for path in paths),
            sum(seconds.get(path, 0.0) for path in paths) if passes else None,
            sum(seconds.get(path, 0.0) for path in paths) / total if total else None,
            batch,
            threads,
        )
        for name, n_parameters, paths in costs
    )
