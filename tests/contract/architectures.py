"""The registry: every architecture of the contract, by name, and what is known to be not right yet."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType, ModuleType

import torch

from tests.contract import attention_nets, conv_nets, library_families, library_nets, plain_nets, vision_nets
from tests.contract.case import Case, stirred
from tests.contract.run import VISION


def _of(module: ModuleType) -> dict[str, Callable[[], Case]]:
    """Functions of a module that make a case without being told anything."""
    made = {name: thing for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__}
    return {
        name.replace("_", " "): thing
        for name, thing in made.items()
        if callable(thing) and not name.startswith("_") and not isinstance(thing, type)
        and getattr(thing, "__annotations__", {}).get("return") is Case and not thing.__code__.co_argcount
    }  # fmt: skip


FAMILIES: Mapping[str, Mapping[str, Callable[[], Case]]] = MappingProxyType(
    {
        "perceptrons, gates, recurrent nets, lookups, outputs and inputs": _of(plain_nets),
        "convolutions": _of(conv_nets),
        "attentions": _of(attention_nets),
        "transformers": {**_of(library_nets), **library_families.TABLE},
        VISION: vision_nets.TABLE,
    }
)
ARCHITECTURES: Mapping[str, Callable[[], Case]] = MappingProxyType(
    {name: make for family in FAMILIES.values() for name, make in family.items()}
)

# what is not right yet, and why: an expected failure each
KNOWN: Mapping[str, str] = MappingProxyType({})


def made(name: str) -> Case:
    """An architecture with the same random weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(zlib.crc32(name.encode()))
        case = ARCHITECTURES[name]()
        return replace(case, model=stirred(case.model))
