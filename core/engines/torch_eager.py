"""Torch as it is."""

from pathlib import Path

from torch import Tensor, nn

from core.engines.engine import Build, Engine, Forward


def load(model: nn.Module, inputs: tuple[Tensor, ...], folder: Path) -> Build:
    """Passes of the model itself. The number of threads is the process's, which the caller sets."""

    def build(threads: int) -> Forward:
        return lambda: model(*inputs)

    return build


ENGINE = Engine(load, renewed=True)
