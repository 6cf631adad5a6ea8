"""`torch.compile`; on the CPU it needs a C++ compiler."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from core.engines.engine import Build, Engine, Forward, quiet


def load(model: nn.Module, inputs: tuple[Tensor, ...], folder: Path) -> Build:
    """Passes of the model compiled for these shapes."""

    def build(threads: int) -> Forward:
        # threads are written into the generated code; told here, the number is part of the key of its cache
        fast = torch.compile(model, dynamic=False, options={"cpp.threads": threads})
        return lambda: fast(*inputs)

    return build


@contextmanager
def forgotten() -> Iterator[None]:
    """What `torch.compile` made inside the block is dropped after it.

    It keeps few versions of one piece of code, and would run the next ones eagerly without a word.
    """
    try:
        yield
    finally:
        with quiet():
            torch.compiler.reset()


ENGINE = Engine(load, around=forgotten)
