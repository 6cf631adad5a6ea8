"""Code and settings as text that is the same in every process, so that a hash of it tells when either changed."""

import dataclasses
import functools
import hashlib
import inspect
import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch

from core.workload.examples import tensor_bytes

# Of these the version would matter at most, and the workspace is no place to track versions of everything.
_FOREIGN = {"torch", "numpy", "scipy", "builtins", "typing_extensions", *sys.stdlib_module_names}


def code_text(thing: Any) -> str:
    """Source of a function, class or callable object, and of all it uses that is not of torch or Python itself.

    Base classes, helper functions and the values of globals and closures count too: a `forward` inherited from another
    file decides a measurement as much as one written here.
    """
    return "\n".join(_texts(thing, set()))


def _texts(thing: Any, seen: set[int]) -> Iterator[str]:
    if thing is None or id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, functools.partial):
        yield from _texts(thing.func, seen)
        yield settings_text(thing.args) + settings_text(thing.keywords)
    elif isinstance(thing, MethodType):
        yield from _texts(thing.__func__, seen)
        yield settings_text(getattr(thing.__self__, "__dict__", None))
    elif isinstance(thing, type):
        for cls in thing.__mro__:
            if not _is_foreign(cls):
                yield _source(cls)
                for member in vars(cls).values():
                    function = getattr(member, "__func__", getattr(member, "fget", member))
                    if isinstance(function, FunctionType):
                        yield from _used_by(function, seen)
    elif isinstance(thing, FunctionType):
        if not _is_foreign(thing):
            yield _source(thing)
            yield from _used_by(thing, seen)
    elif isinstance(thing, BuiltinFunctionType):
        yield f"{thing.__module__}.{thing.__qualname__}"
    else:  # an object that can be called
        yield from _texts(type(thing), seen)
        yield settings_text(getattr(thing, "__dict__", None))


def _used_by(function: FunctionType, seen: set[int]) -> Iterator[str]:
    try:
        read = inspect.getclosurevars(function)
    except (TypeError, ValueError):  # a cell that is not filled yet
        return
    for name, value in sorted({**read.globals, **read.nonlocals}.items()):
        if isinstance(value, FunctionType | type | functools.partial | MethodType):
            yield name
            yield from _texts(value, seen)
        else:
            yield f"{name}={settings_text(value)}"
    yield repr(function.__defaults__ and settings_text(function.__defaults__))


def settings_text(value: Any, _seen: frozenset[int] = frozenset()) -> str:
    """What a value is, or nothing for what has no such text: an object's own repr may hold its address."""
    if isinstance(value, bool | int | float | complex | str | bytes | torch.dtype | None):
        return repr(value)
    if id(value) in _seen:
        return ""
    seen = _seen | {id(value)}
    if isinstance(value, torch.Tensor):
        if value.device.type == "meta" or value.layout != torch.strided:
            return f"tensor({value.dtype}, {tuple(value.shape)})"
        return f"tensor({value.dtype}, {tuple(value.shape)}, {hashlib.sha256(tensor_bytes(value)).hexdigest()})"
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"array({value.dtype}, {value.shape}, {digest})"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}({', '.join(settings_text(item, seen) for item in value)})"
    if isinstance(value, set | frozenset):
        return f"set({', '.join(sorted(settings_text(item, seen) for item in value))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{settings_text(k, seen)}: {settings_text(v, seen)}' for k, v in value.items())})"
    if dataclasses.is_dataclass(value) or (hasattr(value, "__dict__") and not _is_foreign(type(value))):
        fields = {} if callable(value) else getattr(value, "__dict__", {})
        return f"{type(value).__qualname__}({settings_text(fields, seen)})"
    return str(getattr(value, "__qualname__", ""))


def _source(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # made in a REPL: its name is all there is
        return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"


def _is_foreign(thing: Any) -> bool:
    return (getattr(thing, "__module__", None) or "builtins").split(".")[0] in _FOREIGN
