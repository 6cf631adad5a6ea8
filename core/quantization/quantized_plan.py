"""A plan that also says to how many bits weights are rounded. No torch."""

import hashlib
import json
from dataclasses import dataclass

from core.plans.plan import SparsityPlan


@dataclass(frozen=True)
class QuantizedPlan(SparsityPlan):
    """A sparsity plan of which some weights, cut first, are quantized.

    Attributes:
        bits: names of weight targets with the bits of each, in [2, 8]; kept sorted.
    """

    bits: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "bits", tuple(sorted(self.bits)))

    def fingerprint(self) -> str:
        """Hash of the cuts and the bits; of no bits that of the cuts alone, for it is the same model."""
        cuts = super().fingerprint()
        return hashlib.sha256(json.dumps([cuts, "quantized", self.bits]).encode()).hexdigest() if self.bits else cuts
