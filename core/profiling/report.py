"""What models cost to keep and to run, as plain values. No torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from core.shown import Shown

SpeedVerdict = Literal["faster", "no faster here", "slower"]


@dataclass(frozen=True)
class Machine:
    """Where it was measured; times hold there and nowhere else.

    Attributes:
        cpu: the processor's name.
        cores: that the process may use.
        system: operating system and architecture.
        device: where torch ran; of an accelerator with its name.
        torch, onnxruntime: versions; `None` where it is not installed.
    """

    cpu: str
    cores: int
    system: str
    device: str
    torch: str
    onnxruntime: str | None = None


@dataclass(frozen=True)
class Size:
    """What one model is made of and takes up.

    Attributes:
        variant: which model.
        parameters: numbers in all parameters; a tied one counts once.
        nonzeros: of these, the ones that are not 0.
        flops: floating-point operations of one example, a multiply-add counting two, by `torch.utils.flop_counter`:
            matrix products and convolutions. It does not know of zeros: a masked model has those of the dense one.
        bytes_dense: of the safetensors file that an export writes.
        bytes_compressed: of these bytes after zlib, level 6.
        peak_bytes: memory held at once, at most, during a forward pass; on the CPU as `core.profiling.memory` counts.
        peak_batch: examples in that pass.
    """

    variant: str
    parameters: int
    nonzeros: int
    flops: float | None
    bytes_dense: int
    bytes_compressed: int
    peak_bytes: int | None
    peak_batch: int


@dataclass(frozen=True)
class Timing:
    """Seconds of one forward pass of one model at one setting.

    Attributes:
        variant, engine, batch, threads: the model; what ran it; examples in the pass; threads it might use.
        n: rounds.
        passes: forward passes in a row that make up one round; their mean is one time.
        median, low, high: of the n times: median and quartiles.
    """

    variant: str
    engine: str
    batch: int
    threads: int
    n: int
    passes: int
    median: float
    low: float
    high: float


# Copies of one model differ by up to 4 % for as long as they live (weights of 12 and 25 MB at batch 1, same_model.py).
# Torch runs a fresh copy every turn; compiled models cannot be made anew so often.
PLACEMENT = 0.05


@dataclass(frozen=True)
class SpeedRatio:
    """How many times as fast as the first model another one is: its seconds / the other's, in the same round.

    Attributes:
        variant, engine, batch, threads: of the other one, as in `Timing`.
        value: median of the ratios of n rounds.
        low, high: their 95 % interval, by `core.profiling.paired`.
    """

    variant: str
    engine: str
    batch: int
    threads: int
    value: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> SpeedVerdict:
        """The word that the interval allows: all of it must lie on one side of 1, and as far off as `margin`."""
        if self.low > 1 + self.margin:
            return "faster"
        return "slower" if self.high < 1 - self.margin else "no faster here"

    @property
    def margin(self) -> float:
        """How far off 1 a ratio may be for no reason but where in memory two models lie."""
        return 0.0 if self.engine == "eager" else PLACEMENT


@dataclass(frozen=True)
class LayerCost:
    """What one layer of the first model costs, run eagerly.

    Attributes:
        name: path of the module, which is the name of its weight target but for packed attention, whose projections
            are one layer; `BETWEEN` for what no layer with parameters of its own does: activations, additions,
            attention itself.
        parameters: of its own; one that is shared counts for the first of its layers.
        flops: of one example, as in `Size`.
        seconds: in one forward pass, median over the rounds; `None` where it was not timed.
        share: of the seconds of all layers, in [0, 1].
        batch, threads: at which it was timed.
    """

    name: str
    parameters: int
    flops: float
    seconds: float | None
    share: float | None
    batch: int
    threads: int


@dataclass(frozen=True)
class Unavailable:
    """An engine that could not be timed, and why."""

    variant: str
    engine: str
    batch: int
    threads: int | None
    reason: str


@dataclass(frozen=True)
class Saving:
    """What cutting one target alone saves: seconds of the first model minus those of the cut one, in the same round.

    Attributes:
        target, sparsity: the cut.
        batch, threads: of the setting; run eagerly.
        seconds, low, high: per forward pass, median of n rounds with its 95 % interval; negative: it takes longer.
    """

    target: str
    sparsity: float
    batch: int
    threads: int
    seconds: float
    low: float
    high: float
    n: int


BETWEEN = "between the layers"


@dataclass(frozen=True)
class ProfileReport(Shown):
    """Everything that one profile found.

    Attributes:
        workload: name or path.
        machine: where.
        sizes: a row per model; the first is the one that the others are compared with.
        timings, ratios: a row per model, engine, batch size and number of threads.
        layers: of the first model, in the order of its modules, for every batch size.
        unavailable: what could not be timed.
        savings: empty unless asked for.
    """

    workload: str
    machine: Machine
    sizes: tuple[Size, ...]
    timings: tuple[Timing, ...]
    ratios: tuple[SpeedRatio, ...]
    layers: tuple[LayerCost, ...]
    unavailable: tuple[Unavailable, ...] = ()
    savings: tuple[Saving, ...] = ()

    def layers_at(self, batch: int) -> tuple[LayerCost, ...]:
        """The layers timed with that many examples."""
        return tuple(layer for layer in self.layers if layer.batch == batch)

    def ratio_of(self, timing: Timing) -> SpeedRatio | None:
        """The ratio that belongs to a timing; `None` of the first model, or if that one could not be timed."""
        setting = (timing.variant, timing.engine, timing.batch, timing.threads)
        return next((r for r in self.ratios if (r.variant, r.engine, r.batch, r.threads) == setting), None)

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries and lists of plain values; a ratio has its verdict beside its numbers."""
        document = asdict(self)
        for fields, ratio in zip(document["ratios"], self.ratios, strict=True):
            fields["verdict"] = ratio.verdict
        return document

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "ProfileReport":
        """Inverse of `to_json`."""
        ratios = [{key: value for key, value in ratio.items() if key != "verdict"} for ratio in fields["ratios"]]
        return cls(
            fields["workload"],
            Machine(**fields["machine"]),
            _rows(Size, fields["sizes"]),
            _rows(Timing, fields["timings"]),
            _rows(SpeedRatio, ratios),
            _rows(LayerCost, fields["layers"]),
            _rows(Unavailable, fields["unavailable"]),
            _rows(Saving, fields["savings"]),
        )


def _rows(of: Any, rows: Sequence[dict[str, Any]]) -> tuple[Any, ...]:
    return tuple(of(**row) for row in rows)
