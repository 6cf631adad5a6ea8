"""Work cut into pieces that take a while each: large ones while there is much, ever smaller ones toward the end."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from core.plans.plan import SparsityPlan
from core.sensitivity.measuring.elsewhere import Task

Numbered = tuple[int, SparsityPlan]


@dataclass(frozen=True)
class _Group:
    batch: int
    plans: list[Numbered]
    seconds: float


class Pieces:
    """Cuts work into pieces, and looks no further ahead than it is asked to.

    Args:
        work: batches with numbered plans.
        key: of a plan; those of one batch that share it stay together, for they change the same tensors.
        seconds: that a plan is expected to take on a batch.
        least: seconds that a piece of a batch takes at least, for less is not worth asking for.
    """

    def __init__(
        self,
        work: Iterable[Task],
        key: Callable[[Numbered], Hashable],
        seconds: Callable[[int, SparsityPlan], float],
        least: Callable[[int], float],
    ) -> None:
        self._work, self._key, self._seconds, self._least = iter(work), key, seconds, least
        self._groups: deque[_Group] = deque()
        self._left = 0.0
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether there is no more."""
        return self._ended and not self._groups

    def next(self, largest: float, parts: int = 1) -> tuple[int, Sequence[Numbered]] | None:
        """The next plans and their batch; `None` if there are no more.

        Args:
            largest: seconds that they are to take at most; a group is never divided.
            parts: of what is left, one part in so many is taken where that is less.
        """
        while not self._ended and (not self._groups or (parts > 1 and self._left < largest * parts)):
            self._fetch()
        if not self._groups:
            return None
        plans: list[Numbered] = []
        batch, taken = self._groups[0].batch, 0.0
        aim = max(self._least(batch), min(largest, self._left / parts))
        while self._groups and self._groups[0].batch == batch:
            if plans and taken + self._groups[0].seconds / 2 > aim:
                break
            group = self._groups.popleft()
            plans += group.plans
            taken += group.seconds
        self._left = self._left - taken if self._groups else 0.0
        return batch, plans

    def _fetch(self) -> None:
        task = next(self._work, None)
        if task is None:
            self._ended = True
            return
        groups: dict[Hashable, list[Numbered]] = {}
        for one in task[1]:
            groups.setdefault(self._key(one), []).append(one)
        for plans in groups.values():
            seconds = sum(self._seconds(task[0], plan) for _, plan in plans)
            self._groups.append(_Group(task[0], plans, seconds))
            self._left += seconds
