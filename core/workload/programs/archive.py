"""What may stand in a `.pt2` archive: tensors as bytes and a graph of known operators, no pickle and no code.

`torch.export.load` trusts its file: sample inputs, tensor subclasses and custom objects in it are pickles, guards are
Python that is run, targets are looked up in all of torch, and expressions go through sympy's eval. So an archive is
read here first, by a list of what it may hold, and anything else is refused. Torch reads entries by the same central
directory; one name twice is refused, for then two readers might not agree.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from core.errors import SecateurError

WEIGHTS, CONSTANTS = "data/weights/model_weights_config.json", "data/constants/model_constants_config.json"
PROGRAM, INPUTS = "models/model.json", "data/sample_inputs/model.pt"
_SMALL = "archive_format|archive_version|byteorder|\\.data/version|\\.data/serialization_id"
_ENTRY = re.compile(rf"data/weights/weight_\d+|data/constants/tensor_\d+|{WEIGHTS}|{CONSTANTS}|{PROGRAM}|{_SMALL}")
_IN_PLACE = "and|or|xor|lshift|rshift|iand|ior|ixor|ilshift|irshift"
_OUTSIDE = "from_file|save|_print|warn"  # aten's operators that read, map or write a file, or talk
_OPERATOR = re.compile(
    rf"torch\.ops\.(aten|prims)\.(?!({_OUTSIDE})\b)"
    rf"([a-z_]?[a-z0-9]\w*|_[a-z]\w*|__({_IN_PLACE})__)(\.[A-Za-z]\w*)?"
    r"|torch\.ops\.higher_order\.(cond|map_impl|scan|while_loop|associative_scan|auto_functionalized(_v2)?"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|not_)"
    r"|math\.(ceil|floor|trunc)|torch\.sym_(int|float|ite|max|min|not|sum)"
)
_KNOWN = (  # of torch's and sympy's expressions of sizes
    "Symbol|Integer|Rational|Float|Add|Mul|Max|Min|Abs|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|Mod|PythonMod|ModularIndexing|"
    "FloorDiv|CleanDiv|CeilDiv|IntTrueDiv|FloatTrueDiv|TruncToInt|CeilToInt|FloorToInt|Identity|Where|"
    "true|false|True|False|integer|positive|nonnegative"
)
_EXPRESSION = re.compile(rf"(?:'[a-z]+\d+'|\b(?:{_KNOWN})\b|\b[a-z]+\d+\b|\d+|[ ,=()+*/<>!&|-])*")
_TOWER = re.compile(r"\*\*(?!\d(?!\d|\s*\*\*))|(\*\*.*){3}")  # of powers: sympy would calculate for ever
_TYPES = {None, "builtins.tuple", "builtins.list", "builtins.dict"}
_FREE = {"torch_version"}  # a value that is no name: it stays a string
_TEXT = re.compile(r"[\w ,.:>-]*")  # einsum's equations, modes: an argument of an operator, and never a path


def check_archive(path: Path, content: IO[bytes] | None = None) -> None:
    """Read a `.pt2` file without torch, and refuse what is not known to be harmless.

    Args:
        path: of the file; what messages name.
        content: read instead of the file, from its start; for a file that was put together in memory.

    Raises:
        SecateurError: it is damaged, holds a pickle or a thing that is not in the list, or its program names something
            else than operators.
    """
    try:
        with zipfile.ZipFile(content if content is not None else path) as archive:
            entries = _entries(archive, path)
            for name in (WEIGHTS, CONSTANTS):
                _check_tensors(json.loads(archive.read(entries[name])), path)
            _check_program(json.loads(archive.read(entries[PROGRAM])), path)
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RecursionError,
            NotImplementedError, RuntimeError) as error:  # fmt: skip
        if isinstance(error, SecateurError):
            raise
        raise SecateurError(f"{path} is damaged ({type(error).__name__}: {error}); export it again") from None
    if damaged:
        raise SecateurError(f"{path} is damaged: {damaged} is not what was written; export it again")


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, str]:
    """Full names by what follows the archive's own name."""
    found: dict[str, str] = {}
    infos = archive.infolist()
    root = infos[0].filename.partition("/")[0] if infos else ""
    for info in infos:
        start, _, name = info.filename.partition("/")
        if start != root or name in found:
            raise SecateurError(f"{path} holds {info.filename!r} beside or twice; it is refused")
        if not _ENTRY.fullmatch(name) and not (name == INPUTS and info.file_size == 0):
            raise SecateurError(
                f"{path} holds {name!r}, which might be a pickle or code and is not read; "
                "a program that `secateur export` wrote has only tensors and a graph"
            )
        if info.compress_type != zipfile.ZIP_STORED:  # as torch writes them: what is unpacked can be of any size
            raise SecateurError(f"{path} holds {name!r} compressed, which torch never writes; it is refused")
        found[name] = info.filename
    return found


def _check_tensors(config: Any, path: Path) -> None:
    for name, payload in config["config"].items():
        if payload["use_pickle"] is not False or not re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"]):
            raise SecateurError(f"{path} holds {name} as a pickle, which is not read; export it again")


def _check_program(program: Any, path: Path) -> None:
    if program["guards_code"]:
        raise SecateurError(f"{path} holds guards, which are Python that loading would run; it is refused")
    for key, value in _strings(program, ""):
        if key in _FREE:
            continue
        if key in ("in_spec", "out_spec"):
            fine = {node["type"] for node in _specs(json.loads(value))} <= _TYPES
        elif key == "target":
            fine = _OPERATOR.fullmatch(value) is not None
        elif key == "expr_str":
            fine = _EXPRESSION.fullmatch(value) is not None and not _TOWER.search(value)
        elif key == "as_string":
            fine = _TEXT.fullmatch(value) is not None
        else:
            fine = re.fullmatch(r"[\w.:-]*", value) is not None
        if not fine:
            raise SecateurError(f"{path} says {value[:80]!r} as a program's {key}; that might run code and is refused")


def _strings(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every string of a document with the key that it stands under; keys are strings under `key`."""
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict):
        for name, value in node.items():
            yield "key", name
            yield from _strings(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value, key)


def _specs(node: Any) -> Iterator[dict[str, Any]]:
    """Every node of a pytree's specification."""
    if isinstance(node, dict):
        yield node
        yield from _specs(node["children_spec"])
    elif isinstance(node, list):
        for part in node:
            yield from _specs(part)
