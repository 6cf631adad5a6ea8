"""What an adapter is: an engine's facts, how a file for it is made, and where it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.engines.adapters.source import Source
from core.engines.engine import Engine

Precision = Literal["float32", "int8"]


@dataclass(frozen=True)
class Zeros:
    """What zeros in place are to an engine.

    Attributes:
        used: whether it can save time by them, under the condition that the text gives.
        text: what it does with them, for a person.
        source: where that was read or measured, with the version.
    """

    used: bool
    text: str
    source: str


@dataclass(frozen=True)
class Guessed:
    """What an engine's compiler estimates of a file that nothing here can run. Never a measurement.

    Attributes:
        seconds: of one pass.
        cycles: of the device in that time.
        by: who says so, of which device.
    """

    seconds: float
    cycles: int
    by: str


@dataclass(frozen=True)
class Written:
    """Files of one model for one engine.

    Attributes:
        files: what is kept, the one that the engine is told first.
        note: what a person must know of them; empty if nothing.
        guessed: of a file that cannot be run here what its compiler estimates; `None` if it says nothing.
        stand_in: the file that such a one was compiled from, which the runner can run here; `None` if there is none.
    """

    files: tuple[Path, ...]
    note: str = ""
    guessed: Guessed | None = None
    stand_in: Path | None = None


@dataclass(frozen=True)
class Place:
    """Where an engine works.

    Attributes:
        folder: of one model's files.
        python: the interpreter that has the engine; `None`: the one that runs us.
        check: called while one waits; raises `Cancelled` to stop.
    """

    folder: Path
    python: str | None = None
    check: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True)
class Adapter:
    """An engine that models are shipped to.

    Attributes:
        title: its name for people.
        needs: distributions that must be installed, the engine's own first.
        extra: of Secateur that brings them; `None`: the base install has them.
        reads: formats of files, in words.
        zeros: what zeros in place are to it.
        no_int8: why it is not given int8 models; `None` where it is.
        write: makes the files of a model.
        runner: name of a file in `core.engines.runners`; `None`: it runs in this process by `engine`.
        engine: as `runner` says.
        not_run: why what it writes is not run here, so that bytes are all that is measured; `None` if it is.
        no_float: why it is not given float32 models; `None` where it is.
    """

    title: str
    needs: tuple[str, ...]
    extra: str | None
    reads: str
    zeros: Zeros
    no_int8: str | None
    write: Callable[[Source, Precision, Place], Written]
    runner: str | None = None
    engine: Engine | None = None
    not_run: str | None = None
    no_float: str | None = None
