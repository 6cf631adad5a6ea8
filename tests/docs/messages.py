"""Every message with which `core` refuses something, read from its source. Nothing of it is imported."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
GAP = "…"  # stands for whatever is put in
# what click raises for a use that it does not understand, and what ends a command; both only on the command line
REASONS = {"why_not"}  # functions that return what a refusal then says
OF_THE_COMMAND_LINE = {"UsageError", "BadParameter", "fail", "Failure"}


@dataclass(frozen=True)
class Message:
    """One text that a refusal can have.

    Attributes:
        where: `core/x.py:12`.
        text: with `…` for what is put in; `None` where the text comes from elsewhere and is not to be read here.
        source: the expression, as written.
    """

    where: str
    text: str | None
    source: str


def messages_of(folder: Path) -> list[Message]:
    """Of each place that makes a SecateurError, one of its subclasses, or a failure of the command line."""
    nodes = {path: list(ast.walk(ast.parse(path.read_text(encoding="utf-8")))) for path in sorted(folder.rglob("*.py"))}
    functions: dict[str, list[ast.FunctionDef]] = {}
    for node in chain.from_iterable(nodes.values()):
        if isinstance(node, ast.FunctionDef):
            functions.setdefault(node.name, []).append(node)
    refusals = _subclasses(node for node in chain.from_iterable(nodes.values()) if isinstance(node, ast.ClassDef))
    found = []
    for path, of_file in nodes.items():
        name = path.relative_to(folder.parent).as_posix()
        kinds = refusals | (OF_THE_COMMAND_LINE if "/cli/" in name else set())
        for node in sorted((at for at in of_file if hasattr(at, "lineno")), key=lambda at: at.lineno):
            if isinstance(node, ast.Call) and node.args and _name(node.func) in kinds:
                texts = _texts(node.args[0], functions) or [None]
                found += [Message(f"{name}:{node.lineno}", text, ast.unparse(node)) for text in texts]
            elif isinstance(node, ast.FunctionDef) and node.name in REASONS:
                for value in _returned(node):
                    texts = _texts(value, functions)
                    found += [Message(f"{name}:{value.lineno}", text, ast.unparse(value)) for text in texts]
    return found


def _subclasses(classes: Iterable[ast.ClassDef]) -> set[str]:
    known, classes = {"SecateurError"}, list(classes)
    while more := {one.name for one in classes if {_name(base) for base in one.bases} & known} - known:
        known |= more
    return known


def _returned(function: ast.FunctionDef) -> list[ast.expr]:
    """What a function may return, in the order of the lines."""
    values = [at.value for at in ast.walk(function) if isinstance(at, ast.Return) and at.value is not None]
    return sorted(values, key=lambda value: value.lineno)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _texts(node: ast.expr, functions: dict[str, list[ast.FunctionDef]]) -> list[str]:
    """What an expression may read; nothing where that cannot be told."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        return ["".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)]
    if isinstance(node, ast.BinOp):
        sides = [_texts(side, functions) or [GAP] for side in (node.left, node.right)]
        return [left + right for left in sides[0] for right in sides[1]]
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in _texts(value, functions)]
    if isinstance(node, ast.IfExp):
        return [text for value in (node.body, node.orelse) for text in _texts(value, functions)]
    if isinstance(node, ast.Call) and len(made_by := functions.get(_name(node.func), [])) == 1:
        return [text for value in _returned(made_by[0]) for text in _texts(value, functions)]
    return []


@cache
def all_messages() -> tuple[Message, ...]:
    """Of `core`."""
    return tuple(messages_of(ROOT / "core"))
