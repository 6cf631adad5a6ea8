"""The process of `secateur work`: it waits for a run, loads its model once, and measures bundles until the run ends.

`python -m core.jobs.places.helping WORKSPACE THREADS` is the same, started by the dashboard.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from core.errors import SecateurError, first_line
from core.jobs.places import board, workers
from core.jobs.places.asked import Bundle
from core.jobs.runs import RunStore
from core.jobs.strangers import check_named
from core.workspace import Workspace

IDLE_SECONDS, POLL_SECONDS = 0.25, 0.02


def help_out(workspace: Workspace, threads: int, tell: Callable[[str], None], once: bool = False) -> int:
    """Be a worker until somebody stops it.

    Args:
        workspace: whose runs are helped.
        threads: cells that are measured at a time.
        tell: told a line when something happens.
        once: end when the first run that was helped has ended.

    Returns:
        Bundles that were measured.

    Raises:
        SecateurError: with it more threads would compute than there are cores.
    """
    number = workers.register(workspace, threads)
    helper = _Helper(workspace, number, threads, tell)
    tell(f"Worker {number} waits for runs of {workspace.folder}; Ctrl-C or `secateur work --stop {number}` ends it.")
    try:
        return helper.work(once)
    finally:
        helper.stopped.set()
        workers.leave(workspace, number)


class _Helper:
    def __init__(self, workspace: Workspace, number: int, threads: int, tell: Callable[[str], None]) -> None:
        self._workspace, self._number, self._threads, self._tell = workspace, number, threads, tell
        self._refused: set[str] = set()
        self._loaded: tuple[str, Any] = "", None  # the run that is expected to share next, and its workload
        self._done = 0
        self.stopped = threading.Event()
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()

    def _beat(self) -> None:
        while not self.stopped.wait(workers.BEAT_SECONDS):
            try:
                if not workers.beat(self._workspace, self._number):
                    self.stopped.set()
            except SecateurError as error:  # another program holds the database; the next beat will do
                print(first_line(error), file=sys.stderr, flush=True)

    def work(self, once: bool) -> int:
        from core.jobs.places import bench  # noqa: F401 - with torch: now, while nobody waits for it

        while not self.stopped.is_set():
            there = [one for run, one in board.offers(self._workspace).items() if run not in self._refused]
            if not there:
                self._load_ahead()
                self.stopped.wait(IDLE_SECONDS)
                continue
            run = there[0].asked.run
            try:
                self._help(there[0])
            except SecateurError as error:
                self._refuse(run, str(error))
            except Exception as error:
                traceback.print_exc()
                self._refuse(run, f"{type(error).__name__}: {error}")
            else:
                workers.say(self._workspace, self._number, None)
            if once:
                break
        return self._done

    def _load_ahead(self) -> None:
        """Load the model of a run that has begun and will share: its own worker does so at this moment."""
        coming = next(filter(workers.is_shared, RunStore(self._workspace).active()), None)
        if coming is None or coming.state != "running" or self._loaded[0] == coming.id:
            return
        self._loaded = coming.id, None
        try:
            self._loaded = coming.id, self._load(coming.workload)
        except Exception as error:  # what cannot be loaded is refused once the run does share
            print(f"run {coming.id}: {first_line(error)}", file=sys.stderr, flush=True)

    def _load(self, ref: str) -> Any:
        from core.workload.loading import load_workload

        check_named(self._workspace, ref)
        return load_workload(ref)

    def _refuse(self, run: str, why: str) -> None:
        """Leave a run alone, which measures everything itself, and say why."""
        self._refused.add(run)
        self._tell(f"run {run} is not helped: {why}")
        workers.say(self._workspace, self._number, None, f"run {run}: {why}")

    def _help(self, offer: board.Offer) -> None:
        from core.jobs.places.bench import bench
        from core.sensitivity.evidence import EvidenceStore
        from core.sensitivity.measuring.stopping import never_stop

        asked = offer.asked
        (run, workload), self._loaded = self._loaded, ("", None)
        if run != asked.run or workload is None:
            workload = self._load(asked.workload)
        store = EvidenceStore(self._workspace, workload.metric.loss_fingerprint(), origin=offer.origin)
        with bench(asked, workload, store, never_stop, self._threads, offer.positions) as measured:
            measured.prepare(asked.replays)
            self._tell(f"Worker {self._number} helps run {asked.run} ({asked.workload}).")
            workers.say(self._workspace, self._number, asked.run)
            looked = 0.0
            while not self.stopped.is_set():
                taken = board.take(self._workspace, asked.run, self._number)
                if taken is None:
                    if time.monotonic() - looked > IDLE_SECONDS:
                        looked = time.monotonic()
                        now = board.offers(self._workspace).get(asked.run)
                        if now is None or now.asked.keys != asked.keys or now.asked.model != asked.model:
                            return
                    time.sleep(POLL_SECONDS)
                    continue
                try:
                    self._measure(taken, measured, store, asked.keys)
                except BaseException:
                    board.give_back(self._workspace, taken[0])
                    raise

    def _measure(self, taken: tuple[int, str], measured: Any, store: Any, batches: tuple[str, ...]) -> None:
        from core.sensitivity.measuring.outcome import Failure

        number, bundle = taken[0], Bundle.from_json(taken[1])
        now = board.offers(self._workspace).get(measured.run)
        if now is None:  # the run has ended; nobody waits for it
            board.give_back(self._workspace, number)
            return
        found = measured.measure(bundle, now.asked.replays)
        answer = {
            "failed": {str(n): one.reason for n, _, one in found if isinstance(one, Failure)},
            "seconds": {str(n): one.seconds for n, _, one in found if not isinstance(one, Failure)},
        }
        rows = [(key, batches[bundle.batch], one) for _, key, one in found if not isinstance(one, Failure)]
        store.add_all(rows, lambda db: board.done(db, number, self._number, answer))
        self._done += 1


def main() -> None:
    """Entry point of the process that the dashboard starts."""
    folder, threads = sys.argv[1:]
    if hasattr(os, "nice"):
        os.nice(5)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it leaves as after Ctrl-C
    try:
        help_out(Workspace(folder, patient=True), int(threads), lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        pass
    except SecateurError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
