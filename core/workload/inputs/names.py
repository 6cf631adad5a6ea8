"""Inputs by name: which parameter of `forward` each tensor is, and a model that takes them in that order."""

import difflib
import functools
import inspect
import types
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from core.errors import SecateurError
from core.workload.examples import Examples
from core.workload.inputs.pairs import Paired

ORDER = "_secateur_order"  # of a class that was made here: the names that come first
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)  # whose forward takes anything


def pairing(model: nn.Module, examples: Examples) -> tuple[Paired, ...]:
    """Which parameter of the model's `forward` each input is, in the order in which they are given.

    Args:
        model: of a workload.
        examples: its evaluation data, say.
    """
    parameters = _parameters(model)
    places = [name for name, one in parameters.items() if one.kind in _POSITIONAL]
    rest = next((f"*{name}" for name, one in parameters.items() if one.kind is inspect.Parameter.VAR_POSITIONAL), None)
    found = []
    for i, tensor in enumerate(examples.inputs):
        if examples.names is not None:
            name = examples.names[i]
        else:
            name = places[i] if i < len(places) else rest or f"none: forward takes {len(places)}"
        found.append(Paired(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), bool(examples.names)))
    return tuple(found)


def in_order(model: nn.Module, names: Sequence[str]) -> tuple[str, ...]:
    """The names of a model's inputs in the order of its `forward`; what goes into `**kwargs` comes last.

    Raises:
        SecateurError: forward takes no such input, or needs one that is not there.
    """
    parameters = _parameters(model)
    kind, places = type(model).__name__, list(parameters)
    takes = [name for name, one in parameters.items() if one.kind in (*_POSITIONAL, *_NAMED)]
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    unknown = [name for name in names if name not in takes]
    if unknown and not takes_any:
        near = difflib.get_close_matches(unknown[0], takes, 1)
        mend = f"did you mean {near[0]!r}?" if near and near[0] not in names else "leave it out"
        if len(takes) == 1 and not set(takes) & set(names):  # a whole batch as one dictionary, say
            mend = f"wrap the model in a module whose forward takes {', '.join(names)} and makes {takes[0]} of them"
        what = ", ".join(takes) or "inputs by position alone; give a tuple"
        raise SecateurError(f"forward of {kind} takes no input {unknown[0]!r}; {mend} (it takes {what})")
    missing = [name for name in takes if parameters[name].default is inspect.Parameter.empty and name not in names]
    if missing:
        raise SecateurError(
            f"forward of {kind} needs {missing[0]!r}, and the inputs are {', '.join(names)}; add it to them"
        )
    return tuple(sorted(names, key=lambda name: places.index(name) if name in takes else len(places)))


def by_name(model: nn.Module, names: Sequence[str]) -> nn.Module:
    """The model with these inputs first in its `forward`, so that `model(*inputs)` gives each to its own parameter.

    Where they come first already it is the model itself. Else a twin that shares all its tensors and modules, of a
    class of the same name whose `forward` has its parameters in another order; whatever else is called by keyword as
    before.

    Args:
        model: not modified.
        names: as `in_order` gives them.

    Raises:
        SecateurError: no such twin could be made or copied.
    """
    wanted = tuple(names)
    if getattr(type(model), ORDER, None) == wanted or _come_first(model, wanted):
        return model
    kind = type(model).__name__
    mend = f"wrap it in a module whose forward takes {', '.join(wanted)} in this order"
    if "forward" in vars(model) or isinstance(model, torch.jit.ScriptModule | torch.fx.GraphModule):
        raise SecateurError(f"the forward of {kind} was put on the object, or was traced; {mend}")
    if hasattr(type(model), "__deepcopy__"):
        raise SecateurError(f"{kind} copies itself in a way of its own (__deepcopy__); {mend}")
    try:
        twin: nn.Module = object.__new__(_reordered(plain_class(type(model)), wanted))
    except (SecateurError, TypeError) as error:
        raise SecateurError(f"{kind} cannot be called by name ({error}); {mend}") from None
    vars(twin).update(
        vars(model)
    )  # the same dictionaries of parameters, buffers and modules: what moves, moves in both
    return twin


def plain_class(cls: type) -> type:
    """The class that a twin's class was made of; any other class itself."""
    return cls.__mro__[1] if ORDER in vars(cls) else cls


def order_of(cls: type) -> tuple[str, ...] | None:
    """The names that a twin's class puts first; `None` for any other class."""
    found: tuple[str, ...] | None = vars(cls).get(ORDER)
    return found


@functools.lru_cache(maxsize=64)  # one class for one order: copies and their makers are of one type
def _reordered(cls: Any, names: tuple[str, ...]) -> type:
    def forward(self: Any, *inputs: Any, **others: Any) -> Any:
        if len(inputs) > len(names):
            raise TypeError(f"forward takes {len(names)} inputs by position, got {len(inputs)}")
        return cls.forward(self, **dict(zip(names, inputs, strict=False)), **others)

    given = inspect.signature(cls.forward)
    own, *rest = given.parameters.values()
    first = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    after = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY) if one.kind in _POSITIONAL else one
        for one in rest
        if one.name not in names and one.kind is not inspect.Parameter.VAR_POSITIONAL
    ]
    order = [own.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD), *first, *after]
    forward.__signature__ = given.replace(parameters=order)  # type: ignore[attr-defined]
    body = {"forward": forward, ORDER: names, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    if cls.__reduce_ex__ is object.__reduce_ex__ and cls.__reduce__ is object.__reduce__:
        # what is saved of a twin, a pruned model by its user say, is its class by name and the order
        body["__reduce_ex__"] = lambda self, _protocol: (_empty, (cls, names), self.__getstate__())
    return types.new_class(cls.__name__, (cls,), exec_body=lambda namespace: namespace.update(body))


def _empty(cls: type, names: tuple[str, ...]) -> Any:
    """A twin without anything in it, to be filled by who copies or loads one."""
    return object.__new__(_reordered(cls, names))


def _come_first(model: nn.Module, names: tuple[str, ...]) -> bool:
    if order_of(type(model)) is not None:
        return False
    first = list(_parameters(model).items())[: len(names)]
    return tuple(name for name, _ in first) == names and all(one.kind in _POSITIONAL for _, one in first)


def _parameters(model: nn.Module) -> dict[str, inspect.Parameter]:
    while isinstance(model, _WRAPPERS):
        model = model.module
    cls = type(model)
    if order_of(cls) is not None:
        return dict(list(inspect.signature(plain_class(cls).forward).parameters.items())[1:])  # type: ignore[attr-defined]
    return dict(inspect.signature(model.forward).parameters)
