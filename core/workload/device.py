"""Where a model runs, and what there is of it."""

import os

import psutil
import torch

from core.errors import SecateurError


def checked_device(device: str) -> torch.device:
    """The device, if this machine has it.

    Raises:
        SecateurError: it has not.
    """
    try:
        chosen = torch.device(device)
        if chosen.type == "meta":
            raise RuntimeError("it holds no numbers")
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        first_line = first_line if len(first_line) < 100 else f"{first_line[:97]}…"
        raise SecateurError(f"device {device!r} cannot be used here ({first_line}); try --device cpu") from None
    return chosen


def default_threads(device: torch.device) -> int:
    """Cells measured at a time: one per core that this process may use; an accelerator does one thing at a time."""
    if device.type != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
