"""The weights that a model starts from, before any training."""

import torch
from torch import nn

from core.errors import SecateurError


def initialise(model: nn.Module, seed: int) -> None:
    """Give a copy of a model the weights that it starts from, by `reset_parameters` of its modules.

    A module that contains others is reset after them, as a constructor has the last word about what it made. Parameters
    that need no gradient are frozen: they stay, and so do the buffers of a module that has no others.

    Raises:
        SecateurError: a module has parameters of its own and cannot reset them.
    """
    able = {}
    lacking = []
    stay = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    for name, module in model.named_modules():
        free = [parameter.requires_grad for parameter in module.parameters()]
        if free and not any(free):
            stay += module.buffers(recurse=False)
            continue
        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if reset is not None:
            able[name] = reset
        elif any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
            lacking.append(name or "the model itself")
    if lacking:
        raise SecateurError(
            f"no initial weights for {', '.join(lacking)}: expected a method reset_parameters of every module "
            "that has parameters; add one that draws them as the constructor does, or freeze what shall stay"
        )
    kept = [tensor.detach().clone() for tensor in stay]
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(seed)
        for name in sorted(able, key=lambda name: name.count(".") if name else -1, reverse=True):
            able[name]()
        for tensor, before in zip(stay, kept, strict=True):
            tensor.copy_(before)  # a module that contains it may have reset it


def unfrozen(model: nn.Module) -> nn.Module:
    """The model itself, with something to train.

    Frozen as a whole it was loaded to be used, and all of it is trained; frozen in part, that was the author's wish.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        for parameter in model.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
    return model
