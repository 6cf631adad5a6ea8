"""Who helps a run: told when a worker joins, leaves or dies, and kept with the run. No torch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from core.jobs.places import board, workers
from core.jobs.places.workers import Helper
from core.jobs.run import Run
from core.workspace import Workspace


@dataclass(frozen=True)
class Joined:
    """A worker that has helped a run.

    Attributes:
        worker: its number in the workspace.
        pid: of its process.
        bundles: of the run that it has measured.
        ended: `"left"` or `"died"`; `None` while it helps, and of one that stayed to the end, or until the run was
            killed.
    """

    worker: int
    pid: int
    bundles: int = 0
    ended: str | None = None

    @property
    def text(self) -> str:
        """What it did for the run, for a person."""
        did = f"worker {self.worker} (process {self.pid}) measured {self.bundles:,} bundles"
        if self.ended == "died":
            return f"{did} and died; what it had under way was measured again"
        return f"{did} and left" if self.ended == "left" else did


def joined(run: Run) -> tuple[Joined, ...]:
    """Those that have helped a run, as they came, also before it was resumed; what cannot be read is left out."""
    found = (run.made_with or {}).get("workers")
    rows = found if isinstance(found, list) else []
    names = {field.name for field in fields(Joined)}
    return tuple(Joined(**row) for row in rows if isinstance(row, dict) and row.keys() == names)


class Company:
    """Those that help one run.

    Args:
        workspace, run: of the run.
        tell: told a line.
        keep: given all of them, as plain values, whenever that has changed.
        before: those that have helped it before it was resumed.
    """

    def __init__(
        self,
        workspace: Workspace,
        run: str,
        tell: Callable[[str], None],
        keep: Callable[[Sequence[dict[str, Any]]], None],
        before: Iterable[Joined] = (),
    ) -> None:
        self._workspace, self._run, self._tell, self._keep = workspace, run, tell, keep
        self._before = {one.worker: one for one in before}
        self._all: dict[int, Joined] = {}
        self._done_before: dict[int, int] = {}

    def look(self, there: Sequence[Helper]) -> None:
        """See who has come and who has gone.

        Args:
            there: workers that live.
        """
        before = dict(self._all)
        for one in there:
            if one.run == self._run:
                if one.id not in self._all:
                    earlier = self._before.get(one.id)
                    self._done_before[one.id] = one.done - (earlier.bundles if earlier else 0)
                    self._say(f"worker {one.id} (process {one.pid}) joins")
                bundles = one.done - self._done_before[one.id]
                self._all[one.id] = Joined(one.id, one.pid, bundles)
        helping = {one.id for one in there if one.run == self._run}
        for number, known in self._all.items():
            if number not in helping and known.ended is None:
                died = number not in {one.id for one in there} and workers.is_listed(self._workspace, number)
                self._all[number] = replace(known, ended="died" if died else "left")
                what = "died; what it had under way is measured again" if died else "left"
                self._say(f"worker {number} (process {known.pid}) {what}")
        board.take_from_the_dead(self._workspace, self._run)
        if self._all != before:
            self._keep([dict(vars(one)) for one in {**self._before, **self._all}.values()])

    def _say(self, line: str) -> None:
        self._tell(f"run {self._run}: {line}")
