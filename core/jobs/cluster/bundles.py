"""Cells in bundles that take a while each: what is sent to another process must be worth the way."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from core.jobs.cluster.remote_model import Cell
from core.plans.plan import SparsityPlan
from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.measuring.elsewhere import Task
from core.sensitivity.measuring.outcome import Found

SECONDS = 2.0  # that a bundle is to take
LEAST = 1.0  # below which the end of the work is not divided
HARDLY = 1e-5  # seconds of a cell at least, so that no bundle grows beyond all bounds


@dataclass
class Bundle:
    """Cells that one process measures at a time.

    Attributes:
        number: in the order that they were asked for.
        cells: those of one batch stand together.
        died: processes that died while they measured it.
    """

    number: int
    cells: tuple[Cell, ...]
    died: int = 0

    @property
    def batches(self) -> tuple[int, int]:
        """Of its first and of its last cell."""
        return self.cells[0].batch, self.cells[-1].batch


class Pace:
    """How long cells take, by what they cut; as far as it was seen, and as a full pass before.

    Args:
        per_example: seconds of a full pass, for one example.
    """

    def __init__(self, per_example: float) -> None:
        self._usual = per_example
        self._by_target: dict[str, float] = {}
        self._beside = 1.0  # seconds of a bundle to those of its cells: the dense pass, and what is cut

    def seconds(self, plan: SparsityPlan, size: int) -> float:
        """Of a cell on a batch of `size` examples."""
        return max(HARDLY, self._beside * self._by_target.get(plan.cuts[0].target, self._usual) * size)

    def note(self, bundle: Bundle, found: Iterable[Found], seconds: float, size: Callable[[int], int]) -> None:
        """What a bundle took, all in all; `size` are the examples of a batch."""
        took, own = {}, 0.0
        for cell, one in zip(bundle.cells, found, strict=True):
            if isinstance(one, BatchEvidence) and one.seconds is not None:
                took[cell.plan.cuts[0].target] = one.seconds / size(cell.batch)
                own += one.seconds
        if took:
            self._by_target.update(took)
            self._usual = sum(self._by_target.values()) / len(self._by_target)
            self._beside = max(1.0, seconds / max(own, HARDLY))


class Bundler:
    """Cuts work into bundles, and looks no further ahead than it is asked to.

    Args:
        work: batches with numbered plans.
        key: of a plan's evidence.
        size: examples of a batch.
        pace: of cells; it may learn meanwhile.
    """

    def __init__(
        self, work: Iterable[Task], key: Callable[[SparsityPlan], str], size: Callable[[int], int], pace: Pace
    ) -> None:
        self._cells = _cells(work, key)
        self._size, self._pace = size, pace
        self._held: list[Cell] = []
        self._ended = False
        self._number = 0

    def all_within(self, seconds: float) -> list[Cell] | None:
        """All the cells that there are, if they take no longer than this together or it is one; they stay here."""
        self._fill(seconds)
        if len(self._held) == 1 and not self._ended:
            following = next(self._cells, None)
            self._held += [] if following is None else [following]
            self._ended = following is None
        few = len(self._held) <= 1 or self._seconds(self._held) <= seconds
        return list(self._held) if self._ended and few else None

    def next(self, among: int) -> Bundle | None:
        """The next cells, about `SECONDS` of them; `None` if there are no more.

        A batch is not left for a few cells of the next: whoever comes to a batch passes over it once with nothing cut.

        Args:
            among: processes that wait for work: the end of the work is divided by them.
        """
        self._fill(SECONDS * max(1, among))
        if not self._held:
            return None
        wanted = SECONDS
        if self._ended:
            wanted = min(SECONDS, max(LEAST, self._seconds(self._held) / max(1, among)))
        taken, total = 0, 0.0
        for cell in self._held:
            enough = total + self._of(cell) / 2 > wanted
            if taken and (enough or (cell.batch != self._held[0].batch and total >= LEAST)):
                break
            total += self._of(cell)
            taken += 1
        cells, self._held = tuple(self._held[:taken]), self._held[taken:]
        self._number += 1
        return Bundle(self._number - 1, cells)

    def _of(self, cell: Cell) -> float:
        return self._pace.seconds(cell.plan, self._size(cell.batch))

    def _seconds(self, cells: Iterable[Cell]) -> float:
        return sum(map(self._of, cells))

    def _fill(self, seconds: float) -> None:
        held = self._seconds(self._held)
        while not self._ended and held <= seconds:
            cell = next(self._cells, None)
            if cell is None:
                self._ended = True
            else:
                self._held.append(cell)
                held += self._of(cell)


def _cells(work: Iterable[Task], key: Callable[[SparsityPlan], str]) -> Iterator[Cell]:
    keys: dict[SparsityPlan, str] = {}
    for batch, plans in work:
        for number, plan in plans:
            if plan not in keys:
                keys[plan] = key(plan)
            yield Cell(batch, number, plan, keys[plan])
