"""The comparison: each engine's models written, loaded, believed or not, and timed in turn."""

import random
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from core.engines.adapters.adapter import Adapter, Place, Precision, Written
from core.engines.adapters.installed import installed
from core.engines.adapters.process import Process
from core.engines.adapters.registry import ADAPTERS
from core.engines.adapters.source import Source
from core.engines.engine import TOLERANCE, EngineUnavailable, quiet, reason_of, tensors_of
from core.errors import SecateurError
from core.profiling.latency import torch_threads
from core.profiling.paired import median_interval, quartiles
from core.profiling.pays.report import VARIANTS, Row
from core.profiling.pays.request import PaysRequest
from core.profiling.pays.turns import Here
from core.profiling.report import PLACEMENT
from core.profiling.request import FEWEST_ROUNDS
from core.pruning.equality import Terms, distance, terms_of
from core.workload.examples import Examples

BURSTS = 15  # of a turn; the quickest counts, which on a busy machine is one that nobody came between
UNTIMED = 1  # bursts at the beginning of a turn that do not count
BURST_SECONDS = 0.001  # of one burst at least, for a clock has a tick
MOST_PASSES = 1000
CHUNK = 1 << 24
FEW = 8


class Timed(Protocol):
    """What can be timed: a model in an engine, in this process or in its own."""

    def burst(self, bursts: int, passes: int) -> list[float]:
        """Seconds of a pass in each of some bursts."""


@dataclass(frozen=True)
class Comparison:
    """What all engines are given.

    Attributes:
        models: the dense one, and the masked and the shrunk one where the plan has them.
        absent: why one of these is not there, by its name.
        inputs: of one batch, on the CPU.
        calibration: for int8; `None` if the workload has none.
        request: threads, rounds.
        check: raises `Cancelled` to stop.
        say: told what is being done.
    """

    models: Mapping[str, nn.Module]
    absent: Mapping[str, str]
    inputs: tuple[Tensor, ...]
    calibration: Examples | None
    request: PaysRequest
    check: Callable[[], None]
    say: Callable[[str], None]


def pays(asked: Comparison) -> Iterator[tuple[Row, ...]]:
    """Rows of one engine after the other, as they are made.

    Raises:
        SecateurError: torch itself cannot run a model on such a batch.
    """
    expected: dict[str, list[Tensor]] = {}
    terms: dict[str, Terms] = {}
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        for name, model in asked.models.items():
            try:
                expected[name] = tensors_of(model(*asked.inputs))
            except Exception as error:
                size = len(asked.inputs[0])
                raise SecateurError(
                    f"the {name} model fails on a batch of {size} ({reason_of(error)}); choose another --batch"
                ) from error
            terms[name] = terms_of(model, tuple(x[:FEW] for x in asked.inputs))
        sources = {
            name: Source(model, asked.inputs, asked.calibration, Path(folder, name))
            for name, model in asked.models.items()
        }
        for engine in asked.request.engines:
            place = Path(folder, engine)
            yield _Engine(asked, engine, place, sources, expected, terms).rows()


class _Engine:
    """One engine with all models."""

    def __init__(
        self,
        asked: Comparison,
        name: str,
        folder: Path,
        sources: Mapping[str, Source],
        expected: Mapping[str, list[Tensor]],
        terms: Mapping[str, Terms],
    ) -> None:
        self.asked, self.name, self.adapter, self.folder = asked, name, ADAPTERS[name], folder
        self.sources, self.expected, self.terms = sources, expected, terms
        self.python = dict(asked.request.pythons).get(name)

    def rows(self) -> tuple[Row, ...]:
        """A row for each of `VARIANTS`, with numbers or with why there are none."""
        zeros = self.adapter.zeros
        blank = Row(self.name, None, "dense", uses_zeros=zeros.used, zeros=zeros.text, margin=_margin(self.adapter))
        try:
            blank = replace(blank, version=installed(self.adapter, self.python))
        except EngineUnavailable as error:
            return tuple(replace(blank, variant=variant, reason=str(error)) for variant in VARIANTS)
        rows: dict[str, Row] = {}
        ready: dict[str, Timed] = {}
        around = self.adapter.engine.around() if self.adapter.engine else ExitStack()
        with torch_threads(self.asked.request.threads), around, ExitStack() as stack:
            for variant in VARIANTS:
                self.asked.check()
                self.asked.say(f"{self.adapter.title}: writing and loading {variant}")
                row = replace(blank, variant=variant)
                try:
                    rows[variant], ready[variant] = self._prepared(row, stack)
                except EngineUnavailable as error:
                    rows[variant] = replace(row, reason=str(error))
            self.asked.say(f"{self.adapter.title}: timing {len(ready)} models in turn")
            times, died = self._timed(ready)
        for variant, reason in died.items():
            rows[variant] = replace(blank, variant=variant, reason=reason)
        return tuple(_with_times(row, times) for row in rows.values())

    def _prepared(self, row: Row, stack: ExitStack) -> tuple[Row, Timed]:
        """A model written, loaded and compared with torch.

        Raises:
            EngineUnavailable: there is none, or the engine cannot hold it, dies of it or gives other outputs.
        """
        form, precision = _parts(row.variant)
        if precision == "int8" and self.adapter.no_int8 is not None:
            raise EngineUnavailable(self.adapter.no_int8)
        if form in self.asked.absent:
            raise EngineUnavailable(self.asked.absent[form])
        place = Place(self.folder / row.variant.replace(" ", ""), self.python, self.asked.check)
        place.folder.mkdir(parents=True)
        source = self.sources[form]
        written = self.adapter.write(source, precision, place)
        outputs, timed = self._loaded(source, written, place, stack, row.variant == "dense")
        difference = compared(self.expected[form], outputs, self.terms[form], precision)
        size, compressed = _sizes(written.files, self.asked.check)
        return replace(row, note=written.note, bytes=size, compressed=compressed, difference=difference), timed

    def _loaded(
        self, source: Source, written: Written, place: Place, stack: ExitStack, is_base: bool
    ) -> tuple[list[Tensor], Timed]:
        threads = self.asked.request.threads
        if self.adapter.runner is not None:
            process = stack.enter_context(Process(self.adapter.runner, place, threads))
            return tensors_of(process.load(written.files[0], source.input_files)), process
        assert self.adapter.engine is not None
        try:
            with quiet():
                here = Here(self.adapter.engine, source.model, source.inputs, place.folder, threads, is_base)
                return tensors_of(here.once()), here
        except EngineUnavailable:
            raise
        except Exception as error:
            raise EngineUnavailable(reason_of(error)) from error

    def _timed(self, ready: Mapping[str, Timed]) -> tuple[dict[str, list[float]], dict[str, str]]:
        """Seconds of each model's turns, all lists of one length; and why one left the comparison on the way."""
        request, died = self.asked.request, dict[str, str]()
        passes: dict[str, int] = {}
        times: dict[str, list[float]] = {variant: [] for variant in ready}
        draw, begun = random.Random(), time.monotonic()
        for i in range(-1, request.rounds):  # the first finds out how many passes make a burst
            if i >= FEWEST_ROUNDS and time.monotonic() - begun > request.seconds:
                break
            names = [variant for variant in ready if variant not in died]
            for variant in draw.sample(names, len(names)):
                self.asked.check()
                try:
                    if i < 0:
                        quickest = min(ready[variant].burst(BURSTS, 1))
                        passes[variant] = min(MOST_PASSES, max(1, round(BURST_SECONDS / max(quickest, 1e-9))))
                    else:
                        bursts = ready[variant].burst(UNTIMED + BURSTS, passes[variant])
                        times[variant].append(min(bursts[UNTIMED:]))
                except EngineUnavailable as error:
                    died[variant] = str(error)
        return {variant: seconds for variant, seconds in times.items() if variant not in died}, died


def _margin(adapter: Adapter) -> float:
    return 0.0 if adapter.engine is not None and adapter.engine.renewed else PLACEMENT


def _parts(variant: str) -> tuple[str, Precision]:
    """`"masked + int8"` -> `"masked"`, `"int8"`; int8 alone is that of the dense model."""
    form, _, precision = variant.partition(" + ")
    if form == "int8":
        return "dense", "int8"
    return form, "int8" if precision else "float32"


def compared(expected: Sequence[Tensor], found: Sequence[Tensor], terms: Terms, precision: Precision) -> float:
    """Largest difference of any output, in parts of the largest one of the same tensor.

    Raises:
        EngineUnavailable: other shapes, no numbers; or float32 further from torch than `TOLERANCE`.
    """
    if [x.shape for x in expected] != [y.shape for y in found]:
        theirs, ours = [tuple(y.shape) for y in found], [tuple(x.shape) for x in expected]
        raise EngineUnavailable(f"its outputs have the shapes {theirs} in place of {ours}")
    if any(bool((y.isnan() & ~x.isnan()).any()) for x, y in zip(expected, found, strict=True)):
        raise EngineUnavailable("its outputs hold NaN where those of torch hold numbers")
    if precision == "float32":
        found = [y.to(x.dtype) for x, y in zip(expected, found, strict=True)]  # some know no int64
        apart = distance(list(expected), list(found), terms)
        if apart is None or not apart <= TOLERANCE:
            raise EngineUnavailable(f"its outputs differ from those of torch by {apart or 0:.2g} (relative)")
    largest = 0.0
    for x, y in zip(expected, found, strict=True):
        told = x.double().isfinite() & y.double().isfinite()
        if bool(told.any()):
            far = (x.double() - y.double())[told].abs().max().item()
            largest = max(largest, far / max(x.double()[told].abs().max().item(), 1e-30))
    return largest


def _sizes(files: Sequence[Path], check: Callable[[], None]) -> tuple[int, int]:
    """Bytes of files, and what zlib at level 6 leaves of them, file by file."""
    size = compressed = 0
    for path in files:
        packer = zlib.compressobj(6)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                check()
                size += len(chunk)
                compressed += len(packer.compress(chunk))
        compressed += len(packer.flush())
    return size, compressed


def _with_times(row: Row, times: Mapping[str, Sequence[float]]) -> Row:
    seconds, dense = times.get(row.variant), times.get("dense")
    if not seconds:
        return row
    row = replace(row, seconds=quartiles(seconds)[1])
    if row.variant == "dense":
        return row
    if not dense:
        return replace(row, reason="this engine's dense model was not timed, so there is nothing to compare with")
    return replace(row, ratio=median_interval([a / b for a, b in zip(dense, seconds, strict=True)]))
