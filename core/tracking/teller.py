"""A tracker beside a run that is followed: told what is new; where it fails, the run does not notice."""

import contextlib
import sys
import time
from collections.abc import Callable

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.tracking.readings import parameters, readings
from core.tracking.registry import TRACKERS, opened
from core.tracking.tracker import Told, Tracker

SECONDS = 2.0  # from one look at what is new to the next
FOLDER = "tracking"  # in the workspace, a folder a tracker


class Teller:
    """Tells one tracker of one run.

    Args:
        store: where the run is.
        name: of the tracker.
        say: gets one line where the tracker fails; then it is told nothing more.
    """

    def __init__(self, store: RunStore, name: str, say: Callable[[str], None]) -> None:
        self._store, self._name, self._say = store, name, say
        self._tracker: Tracker | None = None
        self._ended = False  # closed, or failed
        self._told: set[tuple[str, int, float | None]] = set()
        self._looked = 0.0

    def news(self, run: Run) -> None:
        """Tell what was measured since the last time; of a run that has ended all, and close the tracker."""
        if self._ended or (run.active and time.monotonic() - self._looked < SECONDS):
            return
        self._looked = time.monotonic()
        try:
            with contextlib.redirect_stdout(sys.stderr):  # standard output is for the answer of the command
                self._tell(run)
        except Exception as error:  # whatever a package of somebody else raises
            self._ended = True
            self._give_up()
            said = " ".join(str(error).split())[:300]
            self._say(
                f"{self._name} failed ({type(error).__name__}: {said}) and is told nothing more; run {run.id} is not "
                "touched, and all that it measures is kept in the workspace"
            )

    def _give_up(self) -> None:
        """Close what has failed, or it would do so itself as Python ends, into the answer of the command."""
        with contextlib.suppress(Exception), contextlib.redirect_stdout(sys.stderr):
            if self._tracker is not None:
                self._tracker.close(False)

    def _tell(self, run: Run) -> None:
        folder = self._store.workspace.folder / FOLDER / self._name
        if self._tracker is None:
            self._tracker = opened(self._name, Told(run.id, parameters(run), folder))
        for reading in readings(self._store, run):
            key = (reading.name, reading.step, reading.values.get("sparsity"))  # 0.9996 and 0.9998 have one step
            if key not in self._told:
                self._tracker.tell(reading)
                self._told.add(key)
        if not run.active:
            self._ended = True
            self._tracker.close(run.state == "finished")
            shown = TRACKERS[self._name].shown_by.format(folder=folder)
            self._say(f"Logged to {folder}; `{shown}`")
