"""Where a model runs."""

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
