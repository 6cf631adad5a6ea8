"""What engines made of a plan, as plain values. No torch."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.numbers import ratio_text
from core.profiling.report import PLACEMENT, Machine
from core.sensitivity.report import Estimate
from core.shown import Shown

VARIANTS = ("dense", "masked", "shrunk", "int8", "masked + int8", "shrunk + int8")


@dataclass(frozen=True)
class Row:
    """One model in one engine.

    Attributes:
        engine: its name, as `--engines` takes it.
        version: of the engine; `None` where it is not installed.
        variant: of `VARIANTS`.
        reason: why there are no numbers; `None` if there are.
        note: what a person must know of the file; empty if nothing.
        bytes, compressed: of the engine's files, and of these bytes after zlib at level 6, as a zip archive holds them.
        seconds: of a forward pass, the median of the turns' quickest bursts.
        ratio: seconds of the engine's dense float32 model / this one's, of the same turns; `None` of that one itself.
        difference: largest difference of any output from torch's own of the float32 model that the file was made of, in
            parts of the largest output.
        margin: how far off 1 a ratio may be for no reason but where in memory two models lie.
        not_run: why its file is not run here, so that there are no milliseconds; empty if it is.
        estimated_seconds, estimated_cycles: of a forward pass on a device that is not here, by the engine's own
            compiler; no measurement.
        estimated_ratio: cycles of the engine's dense model of the same precision / this one's, by that estimate, with
            no interval; `None` of that one itself.
        estimated_by: who estimates, of which device; empty if nobody does.
        uses_zeros, zeros: whether the engine can save time by zeros, and what it does with them.
    """

    engine: str
    version: str | None
    variant: str
    reason: str | None = None
    note: str = ""
    bytes: int | None = None
    compressed: int | None = None
    seconds: float | None = None
    ratio: Estimate | None = None
    difference: float | None = None
    not_run: str = ""
    estimated_seconds: float | None = None
    estimated_cycles: int | None = None
    estimated_ratio: float | None = None
    estimated_by: str = ""
    margin: float = PLACEMENT
    uses_zeros: bool = False
    zeros: str = ""

    @property
    def verdict(self) -> str:
        """One line: what the row says of its engine, for a person who wants to ship."""
        if self.reason is not None:
            return self.reason
        if self.not_run:
            return self._elsewhere()
        if self.ratio is None:
            return "what the others of this engine are compared with"
        if self.ratio.low > 1 + self.margin:
            return f"{ratio_text(self.ratio.value)} faster here"
        if self.ratio.high < 1 - self.margin:
            return f"{ratio_text(1 / self.ratio.value)} slower here"
        in_vain = self.variant == "masked" and not self.uses_zeros and self.zeros
        return f"no faster here: this engine {self.zeros}" if in_vain else "no faster here"

    def _elsewhere(self) -> str:
        """Of a file that is not run here: never “faster”, which is a word for what was measured."""
        if self.estimated_cycles is None:
            return f"written, not run here: {self.not_run}"
        if self.estimated_ratio is None:
            return f"what the others of this engine are compared with, by {self.estimated_by}"
        more = self.estimated_ratio < 1
        times = ratio_text(1 / self.estimated_ratio if more else self.estimated_ratio)
        if times == ratio_text(1.0):
            return f"as many cycles, by {self.estimated_by}"
        return f"{times} {'more' if more else 'fewer'} cycles, by {self.estimated_by}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; the verdict beside the numbers."""
        return {**asdict(self), "verdict": self.verdict}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Row":
        """Inverse of `to_json`."""
        plain = {key: value for key, value in fields.items() if key != "verdict"}
        return cls(**{**plain, "ratio": Estimate(**plain["ratio"]) if plain["ratio"] else None})


@dataclass(frozen=True)
class PaysReport(Shown):
    """Everything that was found so far.

    Attributes:
        workload: name or path.
        machine: where it was measured.
        threads, batch: of every row.
        rows: engine by engine, in the order that was asked for.
    """

    workload: str
    machine: Machine
    threads: int
    batch: int
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values."""
        return {**asdict(self), "rows": [row.to_json() for row in self.rows]}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "PaysReport":
        """Inverse of `to_json`."""
        rows: Sequence[dict[str, Any]] = fields["rows"]
        return cls(
            fields["workload"], Machine(**fields["machine"]), fields["threads"], fields["batch"],
            tuple(Row.from_json(row) for row in rows),
        )  # fmt: skip


def is_sound_report(fields: object) -> bool:
    """Whether plain values have the types that a report's have; so has nothing at all."""
    if fields is None:
        return True
    try:
        found = PaysReport.from_json(fields)  # type: ignore[arg-type]
        machine = (found.machine.cpu, found.machine.system, found.machine.torch)
        of_rows = (t for row in found.rows for t in (row.engine, row.variant, row.zeros, row.not_run, row.estimated_by))
        texts = [found.workload, *machine, *of_rows]
        texts += [t for row in found.rows for t in (row.version, row.reason, row.note) if t is not None]
        of_files = (n for row in found.rows for n in (row.bytes, row.compressed, row.estimated_cycles))
        counts = [found.threads, found.batch, *of_files]
        numbers = [x for row in found.rows for x in (row.seconds, row.difference, row.margin)]
        numbers += [x for row in found.rows for x in (row.estimated_seconds, row.estimated_ratio)]
        numbers += [x for row in found.rows if row.ratio for x in (row.ratio.value, row.ratio.low, row.ratio.high)]
        return (
            all(isinstance(text, str) for text in texts)
            and all(n is None or (isinstance(n, int) and not isinstance(n, bool) and n >= 0) for n in counts)
            and all(x is None or (type(x) in (int, float) and math.isfinite(x)) for x in numbers)
            and all(isinstance(row.uses_zeros, bool) and bool(row.verdict) for row in found.rows)
        )
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError, ZeroDivisionError):
        return False
