"""Which process one is, whatever happens to the clock. Knows nothing."""

from pathlib import Path

import psutil


def started(pid: int) -> int:
    """When a process of this machine began, by a number that no step of the clock changes.

    In ticks since the boot on Linux: to them psutil adds the moment of the boot, which moves with the clock (7.2.2), so
    that whoever lives would look like another. Elsewhere in seconds since 1970, as the system keeps them.

    Raises:
        psutil.NoSuchProcess: it has ended.
        psutil.AccessDenied: it is somebody else's.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        return int(after_name.split()[19])
    except (OSError, IndexError, ValueError):
        return int(psutil.Process(pid).create_time())


def is_gone(pid: int, began: float) -> bool:
    """Whether a process of this machine has ended; when it began guards against another that got the same number.

    Args:
        pid: of it.
        began: as `started` says, or psutil's `create_time`, which workspaces of older builds hold.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return started(pid) != began and abs(process.create_time() - began) > 2
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
