"""Numbered plans on their way from waiting to measured, and what of them is not on disk yet."""

import time
from collections.abc import Iterable, Iterator, Sequence

from core.plans.plan import SparsityPlan
from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.forwards.dense_scores import FLUSH_SECONDS
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Failure


class Ledger:
    """What is known of plans.

    Args:
        measurement: entered.
        plans: each measured from the dense weights.

    Attributes:
        plans: as given.
        keys: under which the evidence of each is kept.
        known: of each, what was on disk, by batch.
        failed: why some cannot be measured, by number.
    """

    def __init__(self, measurement: Measurement, plans: Sequence[SparsityPlan]) -> None:
        self._measurement = measurement
        self.plans = tuple(plans)
        self.keys = [measurement.cell_key(plan) for plan in plans]
        self.known = measurement.all_known(self.keys, plans)
        self.failed: dict[int, str] = {}
        self._unsaved: list[tuple[str, str, BatchEvidence]] = []
        self._saved_at = time.monotonic()

    def measure(self, i: int, wanted: Sequence[int]) -> Iterator[tuple[int, BatchEvidence | None]]:
        """Measure plans on a batch: each one's number, and what was found; `None` if it failed."""
        for _, p, found in self.measure_all([(i, wanted)]):
            yield p, found

    def measure_all(
        self, wanted: Iterable[tuple[int, Sequence[int]]]
    ) -> Iterator[tuple[int, int, BatchEvidence | None]]:
        """As `measure`, of plans on several batches; looked at no sooner than somebody has time for them."""
        work = ((i, [(p, self.plans[p]) for p in positions]) for i, positions in wanted if positions)
        for i, p, found in self._measurement.run(work):
            if isinstance(found, Failure):
                self.failed[p] = found.reason
                yield i, p, None
            elif p not in self.failed:  # else it was asked for before it was known to fail
                self._unsaved.append((self.keys[p], self._measurement.batches.keys[i], found))
                yield i, p, found

    def keep(self, p: int, i: int) -> None:
        """Put what is known of a plan on a batch on disk, if it stems from other batches."""
        if self.known[p][i].gathered:
            self._unsaved.append((self.keys[p], self._measurement.batches.keys[i], self.known[p][i]))

    @property
    def is_due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self._saved_at > FLUSH_SECONDS

    def save(self) -> None:
        """Put on disk what was measured since."""
        self._measurement.save(self._unsaved)
        self._unsaved.clear()
        self._saved_at = time.monotonic()
