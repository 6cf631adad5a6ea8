"""Models of one engine that have turns, so that what slows the machine for a while slows all of them."""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor, nn

from core.engines.adapters.adapter import Place, Precision, Written
from core.engines.adapters.installed import installed
from core.engines.adapters.process import Process
from core.engines.adapters.registry import ADAPTERS
from core.engines.adapters.source import Source
from core.engines.engine import EngineUnavailable, quiet, reason_of, tensors_of
from core.profiling.latency import torch_threads
from core.profiling.report import PLACEMENT
from core.profiling.request import FEWEST_ROUNDS
from core.profiling.shipped.believed import compared
from core.profiling.shipped.here import Here
from core.pruning.equality import Terms, terms_of

BURSTS = 15  # of a turn; the quickest counts, which on a busy machine is one that nobody came between
UNTIMED = 1  # bursts at the beginning of a turn that do not count
BURST_SECONDS = 0.001  # of one burst at least, for a clock has a tick
MOST_PASSES = 1000
FEW = 8


class Timed(Protocol):
    """What can be timed: a model in an engine, in this process or in its own."""

    def burst(self, bursts: int, passes: int) -> list[float]:
        """Seconds of a pass in each of some bursts."""


@dataclass(frozen=True)
class Expected:
    """A model and what torch makes of a batch.

    Attributes:
        source: the model, as engines' writers take it.
        outputs: torch's, of the source's inputs.
        terms: of each output what is added up to make it.
    """

    source: Source
    outputs: list[Tensor]
    terms: Terms


def expected(source: Source) -> Expected:
    """Run a model once in torch, as what an engine gives is compared with.

    Raises:
        Exception: whatever the model raises on such a batch.
    """
    with torch.no_grad():
        outputs = tensors_of(source.model(*source.inputs))
        return Expected(source, outputs, terms_of(source.model, tuple(x[:FEW] for x in source.inputs)))


def expected_of(model: nn.Module, inputs: tuple[Tensor, ...], folder: Path) -> Expected:
    """`expected` of a model in evaluation mode, which gets no int8; `folder` is for its files."""
    return expected(Source(model, inputs, None, folder))


@dataclass
class InTurns:
    """Models in one engine, as a `with` block: each is put in, then all are timed in turn.

    Attributes:
        name: of the engine, in `ADAPTERS`.
        folder: for the engine's files.
        threads: within one operation.
        python: an interpreter that has the engine; `None`: the one that runs us.
        check: called while one waits; raises `Cancelled` to stop.
    """

    name: str
    folder: Path
    threads: int = 1
    python: str | None = None
    check: Callable[[], None] = lambda: None
    _ready: dict[str, Timed] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.adapter = ADAPTERS[self.name]

    def version(self) -> str:
        """Of the engine.

        Raises:
            EngineUnavailable: it is not installed, with the way to get it.
        """
        return installed(self.adapter, self.python)

    @property
    def margin(self) -> float:
        """How far off 1 a ratio may be for no reason but where in memory two models lie."""
        return 0.0 if self.adapter.engine is not None and self.adapter.engine.renewed else PLACEMENT

    def __enter__(self) -> "InTurns":
        self._stack.enter_context(torch.no_grad())
        self._stack.enter_context(torch_threads(self.threads))
        self._stack.enter_context(self.adapter.engine.around() if self.adapter.engine else nullcontext())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ready.clear()
        self._stack.close()

    def put(
        self, label: str, model: Expected, precision: Precision = "float32", is_base: bool = False
    ) -> tuple[Written, float]:
        """Write, load and run a model, and compare it with torch: its files, and how far off it is as in `compared`.

        Args:
            label: by which `times` names it.
            model: what is run.
            precision: of the file.
            is_base: whether it is what the others are compared with.

        Raises:
            EngineUnavailable: the engine cannot hold it, dies of it or gives other outputs.
        """
        if self.adapter.not_run is not None:
            raise EngineUnavailable(f"it is not run here: {self.adapter.not_run}")
        written, place = self._written(model.source, precision)
        outputs, timed = self._loaded(model.source, written, place, is_base)
        apart = compared(model.outputs, outputs, model.terms, precision)
        self._ready[label] = timed
        return written, apart

    def hold(self, model: Expected, precision: Precision) -> tuple[Written, float | None]:
        """Write a model for an engine whose files are not run here: nothing of it is timed.

        Returns:
            Its files, with what their compiler estimates; and how far off torch the file is that they were compiled
            from, as in `compared`, `None` where there is none that runs.

        Raises:
            EngineUnavailable: the engine cannot hold it.
        """
        written, place = self._written(model.source, precision)
        if written.stand_in is None:
            return written, None
        assert self.adapter.runner is not None
        with Process(self.adapter.runner, place, self.threads) as process:
            outputs = tensors_of(process.load(written.stand_in, model.source.input_files))
        return written, compared(model.outputs, outputs, model.terms, precision)

    def _written(self, source: Source, precision: Precision) -> tuple[Written, Place]:
        why = self.adapter.no_int8 if precision == "int8" else self.adapter.no_float
        if why is not None:
            raise EngineUnavailable(why)
        place = Place(self.folder / f"{len(list(self.folder.glob('*')))}", self.python, self.check)
        place.folder.mkdir(parents=True)
        return self.adapter.write(source, precision, place), place

    def _loaded(self, source: Source, written: Written, place: Place, is_base: bool) -> tuple[list[Tensor], Timed]:
        if self.adapter.runner is not None:
            process = self._stack.enter_context(Process(self.adapter.runner, place, self.threads))
            return tensors_of(process.load(written.files[0], source.input_files)), process
        assert self.adapter.engine is not None
        try:
            with quiet():
                here = Here(self.adapter.engine, source.model, source.inputs, place.folder, self.threads, is_base)
                return tensors_of(here.once()), here
        except EngineUnavailable:
            raise
        except Exception as error:
            raise EngineUnavailable(reason_of(error)) from error

    def times(self, rounds: int, seconds: float) -> tuple[Mapping[str, list[float]], Mapping[str, str]]:
        """Seconds of each model's turns, all lists of one length; and why one left the comparison on the way.

        Args:
            rounds: how often each has its turn; in each the quickest of several short bursts counts.
            seconds: after which no new round begins; `FEWEST_ROUNDS` are made in any case.
        """
        died: dict[str, str] = {}
        passes: dict[str, int] = {}
        times: dict[str, list[float]] = {label: [] for label in self._ready}
        draw, begun = random.Random(), time.monotonic()
        for i in range(-1, rounds):  # the first finds out how many passes make a burst
            if i >= FEWEST_ROUNDS and time.monotonic() - begun > seconds:
                break
            labels = [label for label in self._ready if label not in died]
            for label in draw.sample(labels, len(labels)):
                self.check()
                try:
                    if i < 0:
                        quickest = min(self._ready[label].burst(BURSTS, 1))
                        passes[label] = min(MOST_PASSES, max(1, round(BURST_SECONDS / max(quickest, 1e-9))))
                    else:
                        bursts = self._ready[label].burst(UNTIMED + BURSTS, passes[label])
                        times[label].append(min(bursts[UNTIMED:]))
                except EngineUnavailable as error:
                    died[label] = str(error)
        return {label: found for label, found in times.items() if label not in died}, died
