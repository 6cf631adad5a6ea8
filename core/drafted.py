"""Drafts of files and folders, which a process that was killed does not leave behind for ever."""

import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import SecateurError
from core.processes import is_gone, started

_NAME = re.compile(r"\..*-([0-9a-f]{6}-[0-9]+-[0-9]+)-[^-.]+\.draft(\.zip)?", re.DOTALL)
_PROCESS = re.compile(r"([0-9a-f]{6})-([0-9]+)-([0-9]+)")
_LONGEST = 120  # letters of the goal's name in that of its draft


def draft_beside(goal: Path, folder: bool = False) -> Path:
    """A new empty file or folder in the folder of its goal, named by this process, to be moved there once it is whole.

    Drafts of processes that are no more on this machine are removed from that folder first.

    Args:
        goal: where it will be; its folder is there.
        folder: whether it is one.

    Raises:
        OSError: it cannot be made.
    """
    remove_orphans(goal.parent)
    prefix, suffix = f".{goal.name[:_LONGEST]}-{named_after_me()}-", ".draft"
    if folder:
        return Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=goal.parent))
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=goal.parent)
    open(handle, "wb").close()
    return Path(name)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder among the system's temporary files, for weights that are read back say, which goes after the block.

    Of a process that was killed it goes with the next that makes one.

    Raises:
        SecateurError: none can be made.
    """
    try:
        folder = draft_beside(Path(tempfile.gettempdir(), "secateur"), folder=True)
    except OSError as error:
        raise nothing_temporary(error) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def nothing_temporary(error: OSError, longest: int | None = None) -> SecateurError:
    """What is told where temporary files cannot be made.

    Args:
        error: of the system, as one was made.
        longest: bytes of the folder's name that are of use; `None` for any.
    """
    place = str(Path(error.filename).parent) if isinstance(error.filename, str) else tempfile.tempdir
    within = f" in {place}" if place else ""
    named = f", of at most {longest} letters" if longest else ""
    return SecateurError(
        f"no temporary folder can be made{within} ({error.strerror or error}); make room there, or name another "
        f"folder{named} by the variable TMPDIR, as in `TMPDIR=/disk secateur …`"
    )


def remove_orphans(folder: Path) -> list[Path]:
    """Remove drafts that nobody finishes: of processes of this machine that have ended. Returns them."""
    found = []
    for path in folder.glob(".*.draft*"):
        named = _NAME.fullmatch(path.name)
        if named is None or still_lives(named[1]):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):  # somebody else's, in a folder that all share
                path.unlink()
        found.append(path)
    return found


def named_after_me() -> str:
    """This process, on this machine: `a1b2c3-4711-123456`."""
    pid = os.getpid()
    return f"{_here()}-{pid}-{started(pid)}"


def still_lives(name: str) -> bool:
    """Whether the process of a name of `named_after_me` may live: it does, or it is of another machine.

    Raises:
        ValueError: it is no such name.
    """
    named = _PROCESS.fullmatch(name)
    if named is None:
        raise ValueError(f"expected machine-pid-start, got {name[:60]!r}")
    return named[1] != _here() or not is_gone(int(named[2]), int(named[3]))


def _here() -> str:
    """Where a process has its number: a folder may be shared by machines, and by containers of one name."""
    try:
        numbered_in = os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        numbered_in = ""
    return hashlib.sha256(f"{platform.node()} {numbered_in}".encode()).hexdigest()[:6]


def as_if_made_here(path: Path) -> None:
    """Give a draft, or a folder, the rights that a new one has by the umask; drafts are made for their owner alone.

    Raises:
        OSError: they cannot be changed.
    """
    path.chmod((0o777 if path.is_dir() else 0o666) & ~_umask())


def _umask() -> int:
    """The process's mask for new files; where the system does not tell it, it can only be read by setting it."""
    with suppress(OSError):  # setting it would be felt by files that other threads make at that moment
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0)
    os.umask(mask)
    return mask
