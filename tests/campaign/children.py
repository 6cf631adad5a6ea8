"""Processes that are attacked: forks of this one, which say what they have put on disk."""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import SecateurError, first_line
from core.sensitivity.evidence import EvidenceStore
from core.workspace import Workspace

PATIENCE = 120.0  # seconds; of a machine on which much else is at work
SENT = {signal.SIGINT, signal.SIGTERM}
PR_SET_PDEATHSIG = 1  # of Linux
Moment = tuple[int, str]  # the how-manieth write, and "before", "inside" or "after" it


@dataclass
class Ended:
    """How a child ended: its exit code (negative for a signal), what it said, how often it wrote."""

    code: int
    said: str
    writes: int


class Child:
    """A forked process in a session of its own."""

    def __init__(self, folder: Path, act: Callable[[], str | None], at: Moment | None, before: Callable[[], None]):
        self.told, self.log = folder.with_suffix(".told"), folder.with_suffix(".log")
        self.told.write_bytes(b"")
        self.ended: Ended | None = None
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, SENT)  # one that comes too early would unwind what is the parent's
        self.pid = os.fork()
        if self.pid == 0:
            try:
                die_with(parent)
                _be(self.told, self.log, act, at, before)
            finally:
                os._exit(130)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SENT)

    def kill(self, sent: int = signal.SIGKILL) -> None:
        """Send it a signal, if it is still there."""
        if self.ended is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sent)

    def is_over(self) -> bool:
        """Whether it has ended."""
        if self.ended is not None:
            return True
        handle = os.pidfd_open(self.pid)
        try:
            return bool(select.select([handle], [], [], 0)[0])
        finally:
            os.close(handle)

    def end(self) -> None:
        """Kill it if it is still there."""
        self.kill()
        self.wait()

    def wait(self, seconds: float = PATIENCE) -> Ended:
        """Until it has ended.

        Raises:
            AssertionError: it has not in time; it is killed then.
        """
        if self.ended is not None:
            return self.ended
        handle = os.pidfd_open(self.pid)
        try:
            if not select.select([handle], [], [], seconds)[0]:
                self.kill()
                self.ended = Ended(os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), "", 0)
                raise AssertionError(f"it was still at work after {seconds:.0f} s")
        except KeyboardInterrupt:
            self.kill()
            raise
        finally:
            os.close(handle)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        lines = self.told.read_text(encoding="utf-8").splitlines()
        said = [line[5:] for line in lines if line.startswith("said ")]
        self.ended = Ended(code, said[-1] if said else "", sum(line == "write" for line in lines))
        return self.ended

    def acknowledged(self) -> set[tuple[str, str]]:
        """Cells and batches of which the child was told that they are on disk."""
        told = (line.split() for line in self.told.read_text(encoding="utf-8").splitlines())
        return {(words[1], words[2]) for words in told if len(words) == 3 and words[0] == "kept"}


def child(
    folder: Path, act: Callable[[], str | None], at: Moment | None = None, before: Callable[[], None] = lambda: None
) -> Child:
    """Start one.

    Args:
        folder: of the workspace; beside it lies what the child tells.
        act: what it does; what it gives back it says.
        at: when it kills itself with SIGKILL; `None` for never.
        before: done in the child first, to put something in its way.
    """
    return Child(folder, act, at, before)


def die_with(parent: int) -> None:
    """Be killed when the parent of this process ends, however it does; in a session of its own nothing else would."""
    with contextlib.suppress(AttributeError):  # no Linux
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was quicker
        os._exit(1)


def _be(told: Path, log: Path, act: Callable[[], str | None], at: Moment | None, before: Callable[[], None]) -> None:
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with log.open("ab") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        out = os.open(told, os.O_WRONLY | os.O_APPEND)
        _watch(out, at)
        before()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SENT)
        said = act()
        if said:
            os.write(out, f"said {' '.join(said.split())}\n".encode())
        code = 0
    except SecateurError as error:
        os.write(out, f"said {' '.join(str(error).split())}\n".encode())
        code = 2
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        import traceback

        traceback.print_exc()
        with contextlib.suppress(OSError):
            os.write(out, f"said unexpected {type(error).__name__}: {first_line(error)}\n".encode())
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def _watch(out: int, at: Moment | None) -> None:
    """Tell of every write and of all evidence that is on disk; end at the moment that was named."""
    write, add_all = Workspace.write, EvidenceStore.add_all
    n = 0

    def moment(place: str) -> None:
        if at == (n, place):
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    @contextlib.contextmanager
    def watched(self: Workspace) -> Iterator[Any]:
        nonlocal n
        n += 1
        moment("before")
        with write(self) as db:
            yield db
            moment("inside")
        os.write(out, b"write\n")
        moment("after")

    def kept(self: EvidenceStore, found: Any, *more: Any) -> None:
        found = list(found)
        add_all(self, found, *more)
        os.write(out, "".join(f"kept {cell} {batch}\n" for cell, batch, _ in found).encode())

    Workspace.write, EvidenceStore.add_all = watched, kept  # type: ignore[method-assign]
