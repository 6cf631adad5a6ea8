"""The model inside of what torch wraps around one: compiled, or copied to several devices. Imports torch."""

import sys
from typing import cast

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel


def unwrapped(model: nn.Module) -> nn.Module:
    """The model that a wrapper holds, as it is; what is no wrapper comes back. Nothing is changed."""
    # importing the compiler takes a second, and before it was imported nothing is compiled
    compiler = sys.modules.get("torch._dynamo.eval_frame")
    compiled: type = compiler.OptimizedModule if compiler is not None else type(None)
    while True:
        if isinstance(model, compiled):
            model = cast(nn.Module, model._orig_mod)
        elif isinstance(model, DataParallel | DistributedDataParallel):
            model = model.module
        else:
            return model


def unwrap_inside(model: nn.Module) -> int:
    """Put the models inside of wrappers into their places everywhere in a model, which is changed.

    Only of a model that was made for us: a compiled layer has another name and no text that is the same each time.

    Returns:
        How many wrappers are gone.
    """
    n = 0
    for module in list(model.modules()):
        if vars(module).pop("_compiled_call_impl", None) is not None:  # of `model.compile()`
            n += 1
        for name, child in list(module.named_children()):
            inside = unwrapped(child)
            if inside is not child:
                setattr(module, name, inside)
                n += 1
    return n
