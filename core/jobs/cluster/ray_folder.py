"""The folder of a Ray that was started for one run, and what a run that was killed at once leaves of it.

Ray's agents of a node outlive a driver that was killed (-9), and so does the folder of its session.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from core.drafted import named_after_me, nothing_temporary, still_lives

OWNER = "owner"  # names the process that made the folder
_PREFIX = "secateur-ray-"
_LONGEST = 16  # bytes of the folder's folder: sockets lie below it, whose names have 104 at most (107 on Linux)


def place() -> str:
    """The folder for temporary files, or `/tmp` where that has too long a name for Ray."""
    usual = tempfile.gettempdir()
    fits = len(os.fsencode(usual)) <= _LONGEST or not os.access("/tmp", os.W_OK)
    return usual if fits else "/tmp"


def new_folder() -> str:
    """An empty folder for the session; what runs of this person that are no more have left of theirs goes first.

    Raises:
        SecateurError: none can be made.
    """
    folder = None
    try:
        remove_left()
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=place())
        Path(folder, OWNER).write_text(named_after_me())
    except OSError as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        raise nothing_temporary(error, _LONGEST) from None
    return folder


def remove_left() -> list[Path]:
    """End the processes of Ray, and remove the folders, whose run has ended without doing so.

    Only what is surely ours: made by a process of this person on this machine that is no more, and processes that have
    that folder for their home (`core.offline.ray_home`). Returns the folders.
    """
    left = [path for path in Path(place()).glob(f"{_PREFIX}*") if _is_left(path)]
    if not left:
        return []
    homes = {str(path) for path in left}
    ended = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("HOME") in homes:
                process.kill()
                ended.append(process)
    psutil.wait_procs(ended, timeout=5)
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return left


def _is_left(path: Path) -> bool:
    try:
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            return False
        return not still_lives((path / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # no word of whose it is
