"""The registry: every architecture of the contract, by name, and what is known to be not right yet."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType, ModuleType

import torch

from tests.contract import attention_nets, conv_nets, library_families, library_nets, plain_nets
from tests.contract.case import Case, stirred


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
    }
)
ARCHITECTURES: Mapping[str, Callable[[], Case]] = MappingProxyType(
    {name: make for family in FAMILIES.values() for name, make in family.items()}
)

KNOWN: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "size heads order",
                "norm over joined heads",
                "talking heads",
            ),
            "item 3: heads are offered by names, though their trial failed",
        ),
        **dict.fromkeys(
            (
                "batch norm without statistics",
                "in batch statistics",
                "drifting buffer",
            ),
            "item 4: an output that depends on the batch is taken for the example's own",
        ),
        "branches on data": "item 14: the refusal of pt2 is torch's message",
        "complex weights": "item 14: complex weights are told to be pruned before quantizing",
        **dict.fromkeys(
            ("gives a tuple", "gives a dict", "gives a dataclass"),
            "item 7: channels that the model gives are told to be mixed by an operation",
        ),
        **dict.fromkeys(
            (
                "maxout",
                "bilinear",
                "transposed tie",
                "mixture of experts",
                "c2f",
                "split unevenly",
                "unbound",
                "pixel shuffle",
                "pixel unshuffle",
                "channel shuffle",
                "zero padded shortcut",
                "fixed view",
                "lstm",
                "gru",
                "gru cell",
                "rotary",
                "torch attention zero key",
                "own language model",
                "gpt2",
                "gpt neox",
                "mixtral",
                "unknown names",
                "cross attention",
            ),
            "item 7: reasons for channels that are not words, or not true",
        ),
        **dict.fromkeys(
            ("sparse mixture",),
            "items 7 and 14: an index error for channels; a temporary path in the refusal of pt2",
        ),
        **dict.fromkeys(
            (
                "counts in a buffer",
                "own vit",
            ),
            "item 8: a batch that torch.export fixed is refused in torch's words",
        ),
        **dict.fromkeys(
            (
                "rms norm",
                "star args",
                "frozen batch norm",
                "alibi",
                "relative table",
                "query norm over all heads",
                "olmo2",
                "phi3",
                "t5",
            ),
            "item 13: torch's shape error is the reason",
        ),
        **dict.fromkeys(
            (
                "writes into its input",
                "normalises in place",
            ),
            "item 16: the model writes into the evaluation data",
        ),
        **dict.fromkeys(
            (
                "encoder post norm",
                "encoder pre norm",
                "encoder decoder",
                "padded encoder",
            ),
            "a block of nn.TransformerEncoder that cannot be taken out is refused in Python's words",
        ),
    }
)


def made(name: str) -> Case:
    """An architecture with the same random weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(zlib.crc32(name.encode()))
        case = ARCHITECTURES[name]()
        return replace(case, model=stirred(case.model))
