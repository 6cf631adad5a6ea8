"""Torch on one thread, for sums whose last bits must not depend on how many there are."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class _OneThread:
    """How many blocks of `one_thread` are open, and the number of threads from before the first of them.

    The number is a thread's own, but a new thread starts with what was set last, whoever set it: one that comes while
    another is inside would take that 1 for the number to go back to.
    """

    def __init__(self) -> None:
        self._lock, self._open, self._before = threading.Lock(), 0, 1
        self._own = threading.local()

    def enter(self) -> None:
        with self._lock:
            # also makes a new thread take its number now: later it would take what others set, in place of the 1
            now = torch.get_num_threads()
            if self._open == 0:
                self._before = now
            self._open += 1
            self._own.open = getattr(self._own, "open", 0) + 1
            torch.set_num_threads(1)

    def leave(self) -> None:
        with self._lock:
            self._open -= 1
            self._own.open -= 1
            if self._own.open == 0:
                torch.set_num_threads(self._before)


_ONE_THREAD = _OneThread()


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums of several threads are added up in another order, and then the last bits differ."""
    _ONE_THREAD.enter()
    try:
        yield
    finally:
        _ONE_THREAD.leave()
