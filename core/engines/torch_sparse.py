"""Torch with sparse linear layers: those whose zeros pay here are multiplied as compressed rows, `W_csr @ x.T`."""

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
from core.workload.outputs import tensors_of

LEAST_ZEROS = 0.8  # below, dense was quicker at every size that was tried
PAYS = 0.95  # of the dense layer's time; what is hardly quicker is not worth another kernel
BURSTS, BURST_SECONDS = 7, 0.001


class SparseLinear(nn.Module):
    """A linear layer with its weight in compressed sparse rows.

    `F.linear(x, W_csr)` would be the natural form, and takes 7 to 17 times as long as dense (torch 2.13, CPU): it
    multiplies from the other side. Runs under `no_grad` only: sparse weights raise in `inference_mode`.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the layout is new
            self.weight = layer.weight.detach().to_sparse_csr()
        self.bias = None if layer.bias is None else layer.bias.detach()
        self.out_features = layer.out_features

    def forward(self, x: Tensor) -> Tensor:
        """`x`: (…, in) -> (…, out)."""
        rows = x.reshape(-1, x.shape[-1])
        out = (self.weight @ rows.T).T
        return (out if self.bias is None else out + self.bias).reshape(*x.shape[:-1], self.out_features)


def load(model: nn.Module, inputs: tuple[Tensor, ...], folder: Path) -> Build:
    """Passes of a copy in which each `Linear` of at least `LEAST_ZEROS` is sparse, where that was quicker on its input.

    Raises:
        EngineUnavailable: of none it is, or the whole model is no quicker for it; with what came of the trial.
    """
    if any(tensor.device.type != "cpu" for tensor in inputs):
        raise EngineUnavailable("sparse layers are timed on the CPU only; choose device cpu for them")
    layers = [(path, module) for path, module in model.named_modules() if type(module) is nn.Linear]
    zeros = {path: 1 - int(module.weight.count_nonzero()) / module.weight.numel() for path, module in layers}
    chosen = {path: module for path, module in layers if zeros[path] >= LEAST_ZEROS}
    if not chosen:
        most = f", the most is {max(zeros.values()):.0%}" if zeros else ""
        raise EngineUnavailable(
            f"none of its {len(layers)} Linear layers has {LEAST_ZEROS:.0%} zeros{most}: nothing to multiply sparsely"
        )

    def build(threads: int) -> Forward:
        shares = {}
        for path, rows in _inputs_of(model, inputs, chosen).items():
            sparse = partial(SparseLinear(chosen[path]), rows)
            shares[path] = _quickest(sparse) / _quickest(partial(chosen[path], rows))
        paying = [path for path, share in shares.items() if share < PAYS]
        if not paying:
            best = (
                f"the best takes {min(shares.values()):.2f} of its dense time" if shares else "none of them is called"
            )
            raise EngineUnavailable(f"{len(chosen)} Linear layers have {LEAST_ZEROS:.0%} zeros, none pays here: {best}")
        fast = copy.deepcopy(model)
        for path in paying:
            parent, _, name = path.rpartition(".")
            setattr(fast.get_submodule(parent), name, SparseLinear(chosen[path]))
        # alone a layer finds its weight in the cache; in the model another has been there meanwhile
        share = _quickest(lambda: fast(*inputs)) / _quickest(lambda: model(*inputs))
        if share >= 1:
            n = len(paying)
            raise EngineUnavailable(
                f"{n} sparse Linear layers are quicker alone, the model is not: {share:.2f} of dense"
            )
        return lambda: fast(*inputs)

    return build


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


def _quickest(forward: Forward) -> float:
    """Seconds of a pass in the quickest of some bursts."""
    begun = time.perf_counter()
    forward()
    forward()
    passes = max(1, int(BURST_SECONDS / max((time.perf_counter() - begun) / 2, 1e-7)))
    found = []
    for _ in range(BURSTS):
        begun = time.perf_counter()
        for _ in range(passes):
            forward()
        found.append((time.perf_counter() - begun) / passes)
    return min(found)


ENGINE = Engine(load, base=torch_eager.ENGINE)
