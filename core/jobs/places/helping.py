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
from core.jobs.places.at_once import AtOnce
from core.jobs.runs import RunStore
from core.jobs.strangers import check_named
from core.workspace import Workspace

IDLE_SECONDS, POLL_SECONDS = 0.25, 0.02


def help_out(workspace: Workspace, threads: int | None, tell: Callable[[str], None], once: bool = False) -> int:
    """Be a worker until somebody stops it.

    Args:
        workspace: whose runs are helped.
        threads: cells that are measured at a time; `None` to find out, on each run, with which number of those for
            which there are cores most are measured in a second.
        tell: told a line when something happens.
        once: end when the first run that was helped has ended.

    Returns:
        Bundles that were measured.

    Raises:
        SecateurError: with it more threads would compute than there are cores.
    """
    number = workers.register(workspace, threads or 1)
    helper = _Helper(workspace, number, threads, tell)
    tell(f"Worker {number} waits for runs of {workspace.folder}; Ctrl-C or `secateur work --stop {number}` ends it.")
    try:
        return helper.work(once)
    finally:
        helper.stopped.set()
        workers.leave(workspace, number)


class _Helper:
    def __init__(self, workspace: Workspace, number: int, threads: int | None, tell: Callable[[str], None]) -> None:
        self._workspace, self._number, self._threads, self._tell = workspace, number, threads, tell
        self._refused: set[str] = set()
        self._why_told: str | None = None  # of which run everybody can read why it is not helped
        self._helped: set[str] = set()  # or refused: while they are at work nothing is loaded for them any more
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
                self._look_ahead()
                self.stopped.wait(IDLE_SECONDS)
                continue
            run, goes_on = there[0].asked.run, False
            try:
                goes_on = self._help(there[0])
            except SecateurError as error:
                self._refuse(run, str(error))
            except Exception as error:
                traceback.print_exc()
                self._refuse(run, f"{type(error).__name__}: {error}")
            else:
                if not goes_on:
                    self._why_told = None
                    workers.say(self._workspace, self._number, None)
            if once and not goes_on:
                break
        return self._done

    def _look_ahead(self) -> None:
        """Nobody shares: load the model of a run that has begun and will, as its own worker does at this moment.

        What is known of runs that have ended is forgotten: one that is resumed has the same name.
        """
        active = RunStore(self._workspace).active()
        ids = {run.id for run in active}
        self._refused &= ids
        self._helped &= ids
        if self._why_told in ids - self._refused:  # it is tried anew
            self._why_told = None
            workers.say(self._workspace, self._number, None)
        if self._loaded[0] not in ids - self._helped:
            self._loaded = "", None
        coming = (run for run in active if run.state == "running" and run.id not in self._helped)
        first = next(filter(workers.is_shared, coming), None)
        if first is None or self._loaded[0] == first.id:
            return
        self._loaded = first.id, None
        try:
            self._loaded = first.id, self._load(first.workload)
        except Exception as error:  # what cannot be loaded is refused once the run does share
            print(f"run {first.id}: {first_line(error)}", file=sys.stderr, flush=True)

    def _load(self, ref: str) -> Any:
        from core.workload.loading import load_workload

        check_named(self._workspace, ref)
        return load_workload(ref)

    def _refuse(self, run: str, why: str) -> None:
        """Leave a run alone, which measures everything itself, and say why."""
        self._refused.add(run)
        self._why_told = run
        self._tell(f"run {run} is not helped: {why}")
        workers.say(self._workspace, self._number, None, f"run {run}: {why}")

    def _help(self, offer: board.Offer) -> bool:
        """Measure for a run until it ends; whether it goes on, but otherwise than it was offered."""
        from core.jobs.places.bench import OtherModelError

        asked = offer.asked
        self._helped.add(asked.run)
        (run, workload), self._loaded = self._loaded, ("", None)
        if run == asked.run and workload is not None:
            try:
                return self._share(offer, workload)
            except OtherModelError:  # its file may have been changed since the model was loaded ahead
                workload = None  # one at a time in memory
        return self._share(offer, self._load(asked.workload))

    def _share(self, offer: board.Offer, workload: Any) -> bool:
        from core.jobs.places.bench import bench
        from core.sensitivity.evidence import EvidenceStore
        from core.sensitivity.measuring.stopping import never_stop

        run = offer.asked.run
        store = EvidenceStore(self._workspace, workload.metric.loss_fingerprint(), origin=offer.origin)
        at_once = AtOnce(self._threads or workers.spare_cores(self._workspace, self._number))
        with bench(offer.asked, workload, store, never_stop, at_once.most, offer.positions) as measured:
            self._tell(f"Worker {self._number} helps run {run} ({offer.asked.workload}).")
            workers.say(self._workspace, self._number, run)
            looked = 0.0
            while not self.stopped.is_set():
                taken = board.take(self._workspace, run, self._number)
                if taken is None and time.monotonic() - looked <= IDLE_SECONDS:
                    time.sleep(POLL_SECONDS)
                    continue
                looked = time.monotonic()
                now = board.offers(self._workspace).get(run)
                if now != offer:  # ended; or it does not replay after all, which is never undone on a bench
                    if taken is not None:
                        board.give_back(self._workspace, taken[0])
                    if now is not None:
                        self._loaded = run, workload
                    return now is not None
                if taken is None:
                    continue
                try:
                    self._measure(taken, measured, store, offer.asked.keys, at_once)
                except BaseException:
                    board.give_back(self._workspace, taken[0])
                    raise
        return False

    def _measure(
        self, taken: tuple[int, str], measured: Any, store: Any, batches: tuple[str, ...], at_once: AtOnce
    ) -> None:
        from core.sensitivity.measuring.outcome import Failure

        number, bundle = taken[0], Bundle.from_json(taken[1])
        found = measured.measure(bundle) if self._threads else self._tried(measured, bundle, at_once)
        answer = {
            "failed": {str(n): one.reason for n, _, one in found if isinstance(one, Failure)},
            "seconds": {str(n): one.seconds for n, _, one in found if not isinstance(one, Failure)},
        }
        rows = [(key, batches[bundle.batch], one) for _, key, one in found if not isinstance(one, Failure)]
        store.add_all(rows, lambda db: board.done(db, number, self._number, answer))
        self._done += 1

    def _tried(self, measured: Any, bundle: Bundle, at_once: AtOnce) -> Any:
        """As `measured.measure`, with the number of cells at a time that is being tried."""
        was_settled = at_once.is_settled
        measured.at_once(at_once.now)
        workers.take(self._workspace, self._number, at_once.now)  # the run's own worker leaves it as many cores
        begun = time.monotonic()
        found = measured.measure(bundle)
        at_once.tell(len(bundle.plans), time.monotonic() - begun)
        if at_once.is_settled and not was_settled:
            self._tell(f"Worker {self._number} measures {at_once.text}.")
        return found


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
