"""What measuring many plans costs, and whether replay pays for it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.plans.plan import SparsityPlan
from core.sensitivity.measuring.ledger import Ledger
from core.sensitivity.measuring.measurement import Measurement

FEW_PLANS = 4  # tracing a model costs about as much as a few passes
TRACING_SECONDS = 1.5  # of importing what traces, which is never given back: 66 MiB
TENSOR_SECONDS = 8e-3  # of tracing, per tensor of the model (large_model.py)
TRACING_PASSES, TARGET_PASSES = 2, 2  # full passes that compare the graph's outputs, and each target's
FUNCTION_SECONDS = 1.3e-4  # of making and checking one target's function, per tensor of the model (growth.py)
Work = tuple[str, frozenset[str]]


@dataclass(frozen=True)
class Cost:
    """What a sweep will take, estimated from trying every target once on the smallest batch.

    Attributes:
        n_cells: to be measured.
        n_examples: that each is measured on, at most.
        n_known: cells times batches that were known already, of `n_total`.
        seconds: for all cells on all examples; a search needs less.
        full_seconds: the same by full passes.
    """

    n_cells: int
    n_examples: int
    n_total: int
    n_known: int
    seconds: float
    full_seconds: float


class Trial:
    """Cutting each target once, at its highest sparsity: what fails, fails in the first seconds; and it tells the cost.

    Args:
        measurement: entered.
        ledger: of plans with one cut.
        missing: numbers of the plans that are not known on all batches.

    Attributes:
        tried: numbers of the plans to measure on the first batch; none for a run that goes on.
    """

    def __init__(self, measurement: Measurement, ledger: Ledger, missing: Sequence[int]) -> None:
        self._measurement, self._ledger = measurement, ledger
        self._hardest: dict[Work, int] = {}
        for p in missing:
            work = self._work(p)
            if work not in self._hardest or self._sparsity(p) > self._sparsity(self._hardest[work]):
                self._hardest[work] = p
        self.tried = sorted(p for p in self._hardest.values() if 0 not in ledger.known[p])

    def cost(self, seconds: Mapping[int, float], left: Iterable[tuple[int, int]]) -> Cost:
        """What it will take.

        Args:
            seconds: that plans took on the first batch, by number.
            left: numbers of plans with batches that they are to be measured on.
        """
        batches, n_cells = self._measurement.batches, len(self._ledger.plans)
        per_example = {work: seconds[p] / batches.size(0) for work, p in self._hardest.items() if p in seconds}
        usual = sum(per_example.values()) / max(1, len(per_example))
        return Cost(
            n_cells,
            batches.n,
            n_cells * len(batches),
            sum(map(len, self._ledger.known)),
            sum(per_example.get(self._work(p), usual) * batches.size(i) for p, i in left)
            / self._measurement.n_parallel,
            self._measurement.dense_seconds * n_cells * batches.n / batches.size(0),
        )

    def _work(self, p: int) -> Work:
        """What is computed again for a plan; those of which this is the same cost the same."""
        plan = self._ledger.plans[p]
        return plan.cuts[0].granularity, self._measurement.maker.parameters(plan)

    def _sparsity(self, p: int) -> float:
        sparsity = self._ledger.plans[p].cuts[0].sparsity
        return 1.0 if sparsity is None else sparsity


def replay_pays(measurement: Measurement, missing: Sequence[SparsityPlan]) -> bool:
    """Whether replay, which saves about half, saves more than tracing and making each target's function cost."""
    if len(missing) < FEW_PLANS:
        return False
    measurement.dense_evidence(0)
    full = measurement.dense_seconds * len(missing) * measurement.batches.n / measurement.batches.size(0)
    n_targets = len({name for plan in missing for name in measurement.maker.parameters(plan)})
    n_tensors = sum(1 for _ in measurement.workload.model.parameters())
    seconds = TRACING_SECONDS + n_tensors * (TENSOR_SECONDS + n_targets * FUNCTION_SECONDS)
    smallest = min(measurement.batches.size(i) for i in range(len(measurement.batches)))
    per_example = measurement.dense_seconds / measurement.batches.size(0)
    passes = TRACING_PASSES * measurement.dense_seconds + TARGET_PASSES * n_targets * per_example * smallest
    return full / 2 > seconds + passes
