"""Measuring several cells at a time, and handing over what is found in the order that it was asked for."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import torch

from core.sensitivity.measuring.outcome import Found
from core.sensitivity.measuring.stopping import Cancelled

Waiting = deque[tuple[int, int, "Future[Found]"]]


@dataclass(frozen=True)
class Job:
    """One plan to be measured on one batch.

    Attributes:
        batch, number: of the batch, and of the plan for whoever asked.
        run: does it.
        parallel: it may run beside others.
    """

    batch: int
    number: int
    run: Callable[[], Found]
    parallel: bool


class CellThreads:
    """Threads for jobs, once started; without them jobs run one after the other.

    Args:
        n: how many there may be.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Have threads: one per cell, and one per operation, for small operations do not divide well."""
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self._n, "cell", torch.set_num_threads, (1,))

    def resize(self, n: int) -> None:
        """Have n threads from now on, at least one; while none is at work. No figure hangs on how many there are."""
        if n != self._n:
            self._n = n
            if self._pool is not None:
                self._pool.shutdown()
                self._pool = ThreadPoolExecutor(n, "cell", torch.set_num_threads, (1,))

    @property
    def n(self) -> int:
        """How many there may be."""
        return self._n

    def stop(self) -> None:
        """Have none any more."""
        if self._pool is not None:
            torch.set_num_threads(self._threads_before)
            self._pool.shutdown()
            self._pool = None

    @property
    def started(self) -> bool:
        """Whether there are threads."""
        return self._pool is not None

    @property
    def n_parallel(self) -> int:
        """Jobs that run at a time."""
        return self._n if self.started else 1

    def run(self, parts: Iterable[list[Job]], check: Callable[[], None]) -> Iterator[tuple[int, int, Found]]:
        """Do jobs.

        Args:
            parts: of jobs that share dense values; each is emptied before the next is made.
            check: called before each job; raises `Cancelled` to stop.

        Yields:
            Batch, number, and what was found.

        Raises:
            Cancelled: after what was under way has been handed over.
        """
        waiting: Waiting = deque()
        try:
            for jobs in parts:
                for job in jobs:
                    check()
                    if job.parallel and self._pool is not None:
                        waiting.append((job.batch, job.number, self._pool.submit(job.run)))
                    else:  # it lends its tensors to the model, from which the others read
                        yield from _all_of(waiting)
                        yield job.batch, job.number, job.run()
                    while len(waiting) > 2 * self._n:
                        yield _first_of(waiting)
                    del job
                yield from _all_of(waiting)
                jobs.clear()  # with them go the dense values of this part, before the next makes its own
        except Cancelled:
            yield from _all_of(waiting)
            raise
        finally:  # after an error, or when nobody listens any more: nothing may go on behind the back of what follows
            for _, _, future in waiting:
                future.cancel()
            wait([future for _, _, future in waiting])


def _first_of(waiting: Waiting) -> tuple[int, int, Found]:
    i, number, future = waiting.popleft()
    return i, number, future.result()


def _all_of(waiting: Waiting) -> Iterator[tuple[int, int, Found]]:
    while waiting:
        yield _first_of(waiting)
