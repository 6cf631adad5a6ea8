"""The comparison: each engine's models written, loaded, believed or not, and timed in turn."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from core.drafted import scratch
from core.engines.adapters.adapter import Precision, Written
from core.engines.adapters.source import Source
from core.engines.engine import EngineUnavailable, reason_of
from core.errors import SecateurError
from core.profiling.paired import median_interval, quartiles
from core.profiling.pays.report import VARIANTS, Row
from core.profiling.pays.request import PaysRequest
from core.profiling.shipped.turns import Expected, InTurns, expected
from core.workload.examples import Examples

CHUNK = 1 << 24


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
    ready: dict[str, Expected] = {}
    with torch.no_grad(), scratch() as folder:
        for name, model in asked.models.items():
            try:
                ready[name] = expected(Source(model, asked.inputs, asked.calibration, Path(folder, name)))
            except Exception as error:
                size = len(asked.inputs[0])
                raise SecateurError(
                    f"the {name} model fails on a batch of {size} ({reason_of(error)}); choose another --batch"
                ) from error
        for engine in asked.request.engines:
            yield _rows(asked, engine, Path(folder, engine), ready)


def _rows(asked: Comparison, name: str, folder: Path, models: Mapping[str, Expected]) -> tuple[Row, ...]:
    """Of one engine a row for each of `VARIANTS`, with numbers or with why there are none."""
    request = asked.request
    engine = InTurns(name, folder, request.threads, dict(request.pythons).get(name), asked.check)
    zeros, title = engine.adapter.zeros, engine.adapter.title
    blank = Row(name, None, "dense", uses_zeros=zeros.used, zeros=zeros.text, margin=engine.margin)
    try:
        blank = replace(blank, version=engine.version())
    except EngineUnavailable as error:
        return tuple(replace(blank, variant=variant, reason=str(error)) for variant in VARIANTS)
    rows: dict[str, Row] = {}
    with engine:
        for variant in VARIANTS:
            asked.check()
            asked.say(f"{title}: writing and loading {variant}")
            row = replace(blank, variant=variant)
            form, precision = _parts(variant)
            try:
                if form in asked.absent:
                    raise EngineUnavailable(asked.absent[form])
                elsewhere = engine.adapter.not_run
                difference: float | None
                if elsewhere is None:
                    written, difference = engine.put(variant, models[form], precision, variant == "dense")
                else:
                    written, difference = engine.hold(models[form], precision)
                size, compressed = sizes_of(written.files, asked.check)
                rows[variant] = _estimated(
                    replace(row, note=written.note, bytes=size, compressed=compressed, difference=difference,
                            not_run=elsewhere or ""),
                    written,
                )  # fmt: skip
            except EngineUnavailable as error:
                rows[variant] = replace(row, reason=str(error))
        if engine.adapter.not_run is not None:
            return _against_dense(rows)
        asked.say(f"{title}: timing {sum(row.reason is None for row in rows.values())} models in turn")
        times, died = engine.times(request.rounds, request.seconds)
    for variant, reason in died.items():
        rows[variant] = replace(blank, variant=variant, reason=reason)
    return tuple(_with_times(row, times) for row in rows.values())


def _estimated(row: Row, written: Written) -> Row:
    """With what the file's compiler estimates, if it does."""
    if written.guessed is None:
        return row
    found = written.guessed
    return replace(row, estimated_seconds=found.seconds, estimated_cycles=found.cycles, estimated_by=found.by)


def _against_dense(rows: Mapping[str, Row]) -> tuple[Row, ...]:
    """Rows with how many times fewer cycles each is estimated at than this engine's dense model of that precision."""
    found = []
    for variant, row in rows.items():
        dense = rows["int8" if _parts(variant)[1] == "int8" else "dense"]
        if row is not dense and row.estimated_cycles and dense.estimated_cycles:
            row = replace(row, estimated_ratio=dense.estimated_cycles / row.estimated_cycles)
        found.append(row)
    return tuple(found)


def _parts(variant: str) -> tuple[str, Precision]:
    """`"masked + int8"` -> `"masked"`, `"int8"`; int8 alone is that of the dense model."""
    form, _, precision = variant.partition(" + ")
    if form == "int8":
        return "dense", "int8"
    return form, "int8" if precision else "float32"


def sizes_of(files: Sequence[Path], check: Callable[[], None]) -> tuple[int, int]:
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
