"""Where plans are measured, if not (only) in the process that asks: what a place promises to a measurement."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from core.plans.plan import SparsityPlan
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.forwards.batches import Batches
from core.sensitivity.measuring.cell_threads import CellThreads
from core.sensitivity.measuring.cutting import Cutting
from core.sensitivity.measuring.outcome import Found
from core.workload.workload import Workload

Task = tuple[int, Sequence[tuple[int, SparsityPlan]]]  # a batch, and numbered plans to measure on it


class Here(Protocol):
    """What a place may ask of the measurement that it works for."""

    @property
    def workload(self) -> Workload:
        """What is measured."""

    @property
    def store(self) -> EvidenceStore | None:
        """Where evidence is looked up and kept."""

    @property
    def batches(self) -> Batches:
        """Of the examples that are measured on; a search may put them into another order until it begins."""

    @property
    def cutting(self) -> Cutting:
        """What can be cut, and what a plan makes of it."""

    @property
    def dense_seconds(self) -> float:
        """That a full pass over the first batch took."""

    @property
    def model_hash(self) -> str:
        """Fingerprint of the dense model."""

    @property
    def threads(self) -> CellThreads:
        """That cells are measured on here: fewer where others take the cores."""

    @property
    def replays(self) -> bool:
        """Whether only what a cut changes is computed, each cell on one thread; else by full passes."""

    def cell_key(self, plan: SparsityPlan) -> str:
        """Under which the evidence of a plan is kept: who comes to the same key measures the same."""

    def check(self) -> None:
        """Raises `Cancelled` once somebody asked to stop; cheap."""

    def run_here(self, work: Iterable[Task]) -> Iterator[tuple[int, int, Found]]:
        """As `Measurement.run`, in this process."""


class Elsewhere(Protocol):
    """A place beside this process (other processes, other machines) that measures plans on batches.

    It gives the bits that `here.run_here` gives, in the same order, and raises what it raises. A worker that dies costs
    at most what it had under way: that is measured again, elsewhere or here.
    """

    def foresee(self, here: Here, replays: bool) -> None:
        """Much will be asked for soon: who has to load and to trace may begin, while `here` traces.

        Args:
            here: the measurement; which batches it has is settled.
            replays: as `here.replays` will be, if the model can be replayed.
        """

    def run(self, here: Here, work: Iterable[Task]) -> Iterator[tuple[int, int, Found]]:
        """As `Measurement.run`. Tasks without plans (the dense model alone) never come here."""

    def close(self) -> None:
        """Nothing more is asked; what is under way may be given up."""
