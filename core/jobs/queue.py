"""The queue of a workspace: runs wait in the order in which they were asked for, and one works at a time. No torch."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from core.jobs.run import Run
from core.jobs.runs import RunStore

POLL_SECONDS = 0.2
NEXT = "waiting for another run to end"


def waiting(runs: RunStore) -> tuple[Run, ...]:
    """Runs that wait for their turn, who is next first; a run whose worker was killed waits no more.

    Describing is quick and waits for nobody.
    """
    return tuple(run for run in runs.active() if run.state == "queued" and not run.stopping and run.kind != "describe")


def place_of(run_id: str, queue: Sequence[Run]) -> int | None:
    """Of a run in the queue, 1 for who is next; `None` if it does not wait."""
    return next((place for place, run in enumerate(queue, 1) if run.id == run_id), None)


def place_text(place: int) -> str:
    """What a worker says while it waits."""
    return NEXT if place == 1 else f"waiting, number {place} in the queue"


@contextmanager
def turn(runs: RunStore, run: Run) -> Iterator[None]:
    """Wait until it is this run's turn, or somebody stops it: two at once would share the cores and both be slower.

    The order lies in the database and who works in a lock that the system frees when its process dies. So neither
    needs a process that looks after it, and only the next in the order tries the lock.
    """
    lock = _lock(runs)
    said = NEXT  # as every worker says when it takes its run
    while run.kind != "describe" and not lock.is_locked and not runs.stopping(run.id):
        place = place_of(run.id, waiting(runs)) or 1  # a run that was done meanwhile only needs to hear of it
        if place == 1:
            with suppress(Timeout):
                lock.acquire(timeout=POLL_SECONDS)
        else:
            time.sleep(POLL_SECONDS)
        if place_text(place) != said:
            said = place_text(place)
            runs.update(run.id, phase=said)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def nobodys_turn(runs: RunStore) -> Iterator[bool]:
    """Keep the turn from runs, which wait meanwhile; `False`, and nothing kept, while one of them works."""
    lock = _lock(runs)
    with suppress(Timeout):
        lock.acquire(timeout=0)
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _lock(runs: RunStore) -> FileLock:
    return FileLock(runs.workspace.folder / "worker.lock")
