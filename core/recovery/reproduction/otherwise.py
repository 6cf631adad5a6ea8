"""What is otherwise than when something was made: versions and machines that may round in another way."""

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import torch

from core.profiling.machine import this_machine
from core.recovery.making import Making


def otherwise_made(made_with: Any) -> Iterator[str]:
    """Of a bundle, in words.

    Args:
        made_with: as its manifest says; whatever else it may be, it says nothing then.
    """
    here = {"torch": torch.__version__, "machine": platform.machine(), "secateur": version("secateur")}
    there = made_with if isinstance(made_with, Mapping) else {}
    for name, now in here.items():
        if name in there and there[name] != now:
            yield f"{name} {now} instead of {there[name]}"


def otherwise_recovered(making: Making) -> Iterator[str]:
    """Of some rounds of a recovery, in words."""
    here = this_machine(torch.device("cpu"))
    if making.torch != here.torch:
        yield f"torch {here.torch} instead of {making.torch}"
    if making.machine != here.cpu:
        yield f"the processor {here.cpu} instead of {making.machine}"
    device = making.request.get("device")
    if device != "cpu":
        yield f"{device}, where the same sums need not give the same bits twice"
