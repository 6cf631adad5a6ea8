"""Torch with sparse linear layers: those whose zeros pay here are multiplied as compressed rows or tiles, `W @ x.T`."""

import copy
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core.engines import torch_eager
from core.engines.engine import Build, Engine, EngineUnavailable, Forward
from core.plans.patterns import CPU_SIDES
from core.workload.outputs import tensors_of

LEAST_ZEROS = 0.8  # below, dense was quicker at every size that was tried
PAYS = 0.95  # of the dense layer's time; what is hardly quicker is not worth another kernel
HOPELESS = 4.0  # times the dense layer's seconds in a first pass, after which a form is not timed
BURSTS, BURST_SECONDS = 7, 0.001


class SparseLinear(nn.Module):
    """A linear layer with its weight in compressed sparse rows, or in compressed rows of tiles (BSR).

    `F.linear(x, W)` would be the natural form, and takes 7 to 17 times as long as dense in rows, 2 to 13 times in
    tiles at 90 % (torch 2.13, CPU): it multiplies from the other side. Runs under `no_grad` only: sparse weights raise
    in `inference_mode`.

    Args:
        layer: dense; not modified.
        side: of square tiles, which divides both sides of the weight; `None`: single weights.
    """

    def __init__(self, layer: nn.Linear, side: int | None = None) -> None:
        super().__init__()
        weight = layer.weight.detach()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the layout is new
            self.weight = weight.to_sparse_csr() if side is None else weight.to_sparse_bsr((side, side))
        self.bias = None if layer.bias is None else layer.bias.detach()
        self.out_features = layer.out_features

    def forward(self, x: Tensor) -> Tensor:
        """`x`: (…, in) -> (…, out)."""
        rows = x.reshape(-1, x.shape[-1])
        out = (self.weight @ rows.T).T
        return (out if self.bias is None else out + self.bias).reshape(*x.shape[:-1], self.out_features)


def sides_of(weight: Tensor) -> list[int | None]:
    """As what a weight may be held: single zeros (`None`), and those `CPU_SIDES` of which enough tiles are all zero.

    Args:
        weight: (out, in).
    """
    found: list[int | None] = [None]
    for side in CPU_SIDES:
        if weight.shape[0] % side or weight.shape[1] % side:
            continue
        tiles = (weight != 0).unflatten(0, (-1, side)).unflatten(2, (-1, side))
        if _is_enough(1 - tiles.any(3).any(1).double().mean().item()):
            found.append(side)
    return found


def _is_enough(zeros: float) -> bool:
    return round(zeros, 2) >= LEAST_ZEROS  # 80 % of a thousand tiles is not quite 80 %


def load(model: nn.Module, inputs: tuple[Tensor, ...], folder: Path) -> Build:
    """Passes of a copy in which each `Linear` of at least `LEAST_ZEROS` is sparse, where that was quicker on its input.

    Raises:
        EngineUnavailable: of none it is, or the whole model is no quicker for it; with what came of the trial.
    """
    if any(tensor.device.type != "cpu" for tensor in inputs):
        raise EngineUnavailable("sparse layers are timed on the CPU only; choose device cpu for them")
    layers = [(path, module) for path, module in model.named_modules() if type(module) is nn.Linear]
    zeros = {path: 1 - int(module.weight.count_nonzero()) / module.weight.numel() for path, module in layers}
    chosen = {path: module for path, module in layers if _is_enough(zeros[path])}
    if not chosen:
        most = f", the most is {max(zeros.values()):.0%}" if zeros else ""
        raise EngineUnavailable(
            f"none of its {len(layers)} Linear layers has {LEAST_ZEROS:.0%} zeros{most}: nothing to multiply sparsely"
        )

    def build(threads: int) -> Forward:
        tried = {path: quickest_form(chosen[path], rows) for path, rows in _inputs_of(model, inputs, chosen).items()}
        paying = {path: form for path, (form, share) in tried.items() if form is not None and share < PAYS}
        if not paying:
            shares = [share for _, share in tried.values()]
            best = f"the best takes {min(shares):.2f} of its dense time" if shares else "none of them is called"
            raise EngineUnavailable(f"{len(chosen)} Linear layers have {LEAST_ZEROS:.0%} zeros, none pays here: {best}")
        fast = copy.deepcopy(model)
        for path, form in paying.items():
            parent, _, name = path.rpartition(".")
            setattr(fast.get_submodule(parent), name, form)
        # alone a layer finds its weight in the cache; in the model another has been there meanwhile
        share = _quickest(lambda: fast(*inputs)) / _quickest(lambda: model(*inputs))
        if share >= 1:
            n = len(paying)
            raise EngineUnavailable(
                f"{n} sparse Linear layers are quicker alone, the model is not: {share:.2f} of dense"
            )
        return lambda: fast(*inputs)

    return build


def quickest_form(layer: nn.Linear, rows: Tensor) -> tuple[SparseLinear | None, float]:
    """The quickest sparse form of a layer on its own input, and its time in parts of the dense one's.

    Args:
        layer: dense.
        rows: what it is given.

    Returns:
        `None` and infinity if this torch multiplies none of them.
    """
    dense = _quickest(partial(layer, rows))
    best: tuple[SparseLinear | None, float] = (None, float("inf"))
    for side in sides_of(layer.weight):
        try:
            form = SparseLinear(layer, side)
            share = _quickest(partial(form, rows), HOPELESS * dense) / dense
        except RuntimeError:  # torch without MKL has not all of them
            continue
        if share < best[1]:
            best = form, share
    return best


def _inputs_of(model: nn.Module, inputs: tuple[Tensor, ...], layers: dict[str, nn.Linear]) -> dict[str, Tensor]:
    """What each layer is given, of its first call."""
    seen: dict[str, Tensor] = {}

    def note(path: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, args: seen.update({} if path in seen else {path: tensors_of(args)[0].detach().clone()})

    handles = [layer.register_forward_pre_hook(note(path)) for path, layer in layers.items()]
    try:
        model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _quickest(forward: Forward, hopeless: float = float("inf")) -> float:
    """Seconds of a pass in the quickest of some bursts; of the second pass alone where that takes hopelessly long."""
    forward()
    begun = time.perf_counter()
    forward()
    one = time.perf_counter() - begun
    if one > hopeless:
        return one
    passes = max(1, int(BURST_SECONDS / max(one, 1e-7)))
    found = []
    for _ in range(BURSTS):
        begun = time.perf_counter()
        for _ in range(passes):
            forward()
        found.append((time.perf_counter() - begun) / passes)
    return min(found)


ENGINE = Engine(load, base=torch_eager.ENGINE)
