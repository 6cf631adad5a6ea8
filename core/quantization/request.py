"""What a map of pruning × quantization is asked for. All that changes its answer is a field; no torch."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

from core.errors import SecateurError
from core.plans.checked import checked_pattern, checked_sparsity
from core.plans.plan import DEFAULT_CRITERION
from core.quantization.bits import checked_bits
from core.sensitivity.request import Samples, SweepRequest

MAP_BITS = (8, 4, 3, 2)
MAP_SPARSITIES = (0.5, 0.8)


@dataclass(frozen=True)
class QuantizationRequest:
    """Which targets to quantize, alone and cut, on how much data.

    Attributes:
        workload: a sample's name or the path of a workload file.
        bits: of the weights, each in [2, 8]; kept distinct, from the most to the fewest.
        sparsities: at which each target is also cut, alone and before it is quantized, each in (0, 1); kept sorted and
            distinct. Empty: quantization alone.
        tolerance: the drop that is accepted, in the metric's unit; `None` for `default_tolerance`.

    The others are those of `SweepRequest`; cuts that a sweep of the same seed and samples measured are known here.
    """

    workload: str
    bits: tuple[int, ...] = MAP_BITS
    sparsities: tuple[float, ...] = MAP_SPARSITIES
    layers: str = ""
    samples: Samples = None
    criterion: str = DEFAULT_CRITERION
    tolerance: float | None = None
    seed: int = 0
    device: str = "cpu"
    replay: bool = True
    threads: int | None = None
    memory: float | None = None
    shard: str | None = None

    def __post_init__(self) -> None:
        for name in ("bits", "sparsities"):
            given: Any = getattr(self, name)
            if isinstance(given, str | Real):
                raise SecateurError(f"{name} must be several, such as {(8, 4) if name == 'bits' else (0.5, 0.8)}")
        bits = tuple(sorted({checked_bits(one) for one in self.bits}, reverse=True))
        if not bits:
            raise SecateurError("give at least one number of bits, such as 8")
        object.__setattr__(self, "bits", bits)
        sparsities = tuple(sorted({checked_sparsity(one) for one in self.sparsities} - {0.0}))
        object.__setattr__(self, "sparsities", sparsities)
        checked_pattern(self.layers)
        SweepRequest(  # checks all that it shares with a sweep
            self.workload, (0.5,), self.layers, False, self.samples, (self.criterion,), self.seed, self.device,
            tolerance=self.tolerance, replay=self.replay, threads=self.threads, memory=self.memory, shard=self.shard,
        )  # fmt: skip

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "QuantizationRequest":
        """Inverse of `dataclasses.asdict` after a trip through JSON, where tuples become lists."""
        return cls(**{**fields, **{name: tuple(fields[name]) for name in ("bits", "sparsities")}})
