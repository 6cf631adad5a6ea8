"""How a run's measurement was asked for, as plain values: enough to make the same one in another process. No torch."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from core.plans.plan import SparsityPlan
from core.quantization.quantized_plan import QuantizedPlan
from core.sensitivity.request import Samples


@dataclass(frozen=True)
class Asked:
    """A measurement.

    Attributes:
        run, workload: id of the run, and what it measures.
        model: fingerprint of the dense model that the run has loaded.
        kind: name of the class of the measurement.
        samples, seed, device, memory, part, skip: as of `Measurement`.
        replays: whether cells are computed by replay.
        torch_threads: threads within one operation of a full pass: others may give other bits.
        keys, sizes: of its batches, in their order.
        around: the plan whose neighbours are measured, as a document.
    """

    run: str
    workload: str
    model: str
    kind: str
    samples: Samples
    seed: int
    device: str
    memory: int | None
    part: Any
    skip: int
    replays: bool = False
    torch_threads: int = 1
    keys: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    around: Any = None

    def to_json(self) -> str:
        """One line of text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Asked":
        """Inverse of `to_json`."""
        found = json.loads(text)
        return cls(**{**found, "keys": tuple(found["keys"]), "sizes": tuple(found["sizes"])})


@dataclass(frozen=True)
class Bundle:
    """Plans to be measured on one batch by one worker.

    Attributes:
        batch: its number in the order of the measurement.
        plans: each with its number for whoever asked, and the key that its evidence is kept under.
    """

    batch: int
    plans: tuple[tuple[int, str, SparsityPlan], ...]

    def to_json(self) -> str:
        """One line of text."""
        return json.dumps([self.batch, [[number, key, _document(plan)] for number, key, plan in self.plans]])

    @classmethod
    def from_json(cls, text: str) -> "Bundle":
        """Inverse of `to_json`."""
        batch, plans = json.loads(text)
        return cls(batch, tuple((number, key, _plan(document)) for number, key, document in plans))


def _document(plan: SparsityPlan) -> dict[str, Any]:
    bits = plan.bits if isinstance(plan, QuantizedPlan) else ()
    return {**plan.to_document(), **({"bits": bits} if bits else {})}


def _plan(document: dict[str, Any]) -> SparsityPlan:
    bits = document.pop("bits", None)
    plan = SparsityPlan.from_document(document)
    if bits is None:
        return plan
    return QuantizedPlan(plan.cuts, plan.workload, plan.repair, tuple((name, n) for name, n in bits))
