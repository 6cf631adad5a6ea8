"""A model in an engine of this process, timed as one in a process of its own is."""

import copy
import time
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core.engines.engine import Engine, Forward


class Here:
    """Passes of a model by an engine that runs in this process.

    Args:
        engine: that runs it.
        model: in evaluation mode; not modified.
        inputs: of one batch.
        folder: for the engine's files.
        threads: that torch has been told.
        is_base: whether it is what others are compared with: an engine that is eager torch but for some layers then
            runs plain eager torch.
    """

    def __init__(
        self, engine: Engine, model: nn.Module, inputs: tuple[Tensor, ...], folder: Path, threads: int, is_base: bool
    ) -> None:
        if is_base and engine.base is not None:
            engine = engine.base
        self._model, self._inputs = model, inputs
        self._forward = None if engine.renewed else engine.load(model, inputs, folder)(threads)

    def once(self) -> Any:
        """Outputs of one pass."""
        return self._pass()()

    def burst(self, bursts: int, passes: int) -> list[float]:
        """Seconds of a pass in each of some bursts; torch's own from another place in memory every turn."""
        forward, found = self._pass(), []
        for _ in range(bursts):
            begun = time.perf_counter()
            for _ in range(passes):
                forward()
            found.append((time.perf_counter() - begun) / passes)
        return found

    def _pass(self) -> Forward:
        return self._forward or partial(copy.deepcopy(self._model), *self._inputs)
