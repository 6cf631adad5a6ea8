"""Code and settings as text that is the same in every process, so that a hash of it tells when either changed."""

import argparse
import contextlib
import functools
import hashlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from core.workload.examples import tensor_bytes
from core.workload.inputs.names import order_of

LARGEST_SETTING = 2**40  # addresses, salted hashes and times in nanoseconds are larger
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
        yield settings_text((thing.args, thing.keywords), frozenset(seen))
    elif isinstance(thing, MethodType):
        yield from _texts(thing.__func__, seen)
        yield settings_text(thing.__self__, frozenset(seen))
    elif isinstance(thing, type):
        for cls in thing.__mro__:
            if (order := order_of(cls)) is not None:  # nothing but another order of its parameters
                yield f"inputs {order}"
            elif file := _installed_file(cls):
                yield file
            elif not _is_foreign(cls):
                yield _source(cls)
                for member in vars(cls).values():
                    function = getattr(member, "__func__", getattr(member, "fget", member))
                    if isinstance(function, FunctionType):
                        yield from _used_by(function, seen)
    elif isinstance(thing, FunctionType):
        if file := _installed_file(thing):
            yield file
        elif not _is_foreign(thing):
            yield _source(thing)
            yield from _used_by(thing, seen)
    elif isinstance(thing, BuiltinFunctionType):
        yield f"{thing.__module__}.{thing.__qualname__}"
    else:
        yield from _texts(type(thing), seen)
        yield settings_text(_fields(thing), frozenset(seen))


def _used_by(function: FunctionType, seen: set[int]) -> Iterator[str]:
    for name, value in sorted(_read_by(function).items()):
        value = inspect.unwrap(value) if hasattr(value, "__wrapped__") else value  # functools.cache hides a function
        if isinstance(value, FunctionType | type | functools.partial | MethodType):
            yield name
            yield from _texts(value, seen)
        else:
            yield f"{name}={settings_text(value, frozenset(seen))}"
    yield settings_text((function.__defaults__, function.__kwdefaults__), frozenset(seen))


def _read_by(function: FunctionType) -> dict[str, Any]:
    """What a function and those inside it (a lambda, a comprehension) read of globals, closures and modules."""
    names: set[str] = set()
    codes: list[CodeType] = [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # a cell that is not filled yet
            found[name] = cell.cell_contents
    todo = [(name, function.__globals__[name]) for name in names if name in function.__globals__]
    met = set()
    while todo:
        name, value = todo.pop()
        if not isinstance(value, ModuleType):
            found[name] = value
        elif value.__name__ not in met and value.__name__.split(".")[0] not in _FOREIGN:
            met.add(value.__name__)
            todo += [(f"{value.__name__}.{used}", vars(value)[used]) for used in names & vars(value).keys()]
    return found


def _fields(thing: Any) -> dict[str, Any]:
    """Attributes of an object, in `__dict__` or in slots; of a module without its mode and hooks.

    Of an object of an installed package without what is another in every process.
    """
    slots = [name for cls in type(thing).__mro__ for name in vars(cls).get("__slots__", ())]
    fields = {name: getattr(thing, name) for name in slots if name != "__dict__" and hasattr(thing, name)}
    fields.update(getattr(thing, "__dict__", {}))
    if isinstance(thing, torch.nn.Module):
        passing = vars(torch.nn.Module()).keys() - {"_parameters", "_buffers", "_modules"}
        fields = {name: value for name, value in fields.items() if name not in passing}
    return {name: value for name, value in fields.items() if not passes(thing, name, value)}


def passes(owner: Any, name: str, value: Any) -> bool:
    """Whether a private number of an installed package's object is a hash, an address or a time, and no setting.

    A generation config of transformers keeps a hash of its text, which Python salts anew in each process. Told by its
    size, for every library has a name of its own for such a thing.
    """
    large = name.startswith("_") and type(value) is int and abs(value) > LARGEST_SETTING
    return large and bool(_installed_file(type(owner)))


def settings_text(value: Any, _seen: frozenset[int] = frozenset()) -> str:
    """What a value is, or its type for what has no such text: an object's own repr may hold its address."""
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
    name = str(getattr(value, "__qualname__", type(value).__qualname__))
    if isinstance(value, SimpleNamespace | argparse.Namespace):
        return f"{name}({settings_text(vars(value), seen)})"
    if isinstance(value, torch.device | PurePath | range | slice):
        return f"{name}({value!r})"
    if isinstance(value, ModuleType) or (_is_foreign(type(value)) and not callable(value)):
        return name
    return f"{name}({' '.join(_texts(value, set(_seen)))})"


def _installed_file(thing: Any) -> str:
    """Name and content, as one hash, of the file of an installed package that a thing is from; empty for other code.

    Following what a large library uses of itself takes minutes, and it changes as a whole, when it is installed anew.
    """
    module = getattr(thing, "__module__", None) or ""
    return "" if _is_foreign(thing) else _file_text(module, getattr(sys.modules.get(module), "__file__", None) or "")


@functools.cache
def _file_text(module: str, file: str) -> str:
    path = Path(file)
    if not {"site-packages", "dist-packages"}.intersection(path.parts) or not path.is_file():
        return ""
    return f"{module} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _source(thing: Any) -> str:
    try:
        if isinstance(thing, type) and not _is_found_by_name(thing):
            raise OSError
        return inspect.getsource(thing)
    except (OSError, TypeError):  # made in a REPL, or its module was replaced: its name and methods are all there is
        functions = [member for member in vars(thing).values() if isinstance(member, FunctionType)]
        own = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"
        return "\n".join([own, *map(_source, functions)]) if isinstance(thing, type) else own


def _is_found_by_name(cls: type) -> bool:
    """Whether the module of a class still holds it: else its source would be looked for in a namesake's file."""
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        if name == "<locals>":
            return found is not None
        found = getattr(found, name, None)
    return found is cls


def _is_foreign(thing: Any) -> bool:
    return (getattr(thing, "__module__", None) or "builtins").split(".")[0] in _FOREIGN
