"""Rows of a map by the module that they lie in."""

from collections.abc import Sequence
from dataclasses import dataclass, field

FEW = 3  # rows, below which a module is no group of its own
FEW_ROWS = 12  # of a map, up to which headings would only take room
DEEPEST = 2  # groups within groups


@dataclass(frozen=True)
class Group:
    """Rows that lie in one module.

    Attributes:
        path: of the module.
        depth: 0 outside, 1 inside another group.
        parent: position of that group; `None` outside.
        rows: positions of all that lie in it, in network order.
    """

    path: str
    depth: int
    parent: int | None
    rows: tuple[int, ...]


@dataclass
class _Node:
    path: str
    rows: list[int] = field(default_factory=list)
    inner: dict[str, "_Node"] = field(default_factory=dict)


def groups_of(names: Sequence[str]) -> tuple[Group, ...]:
    """The modules that hold at least three rows and not all of them, each before those inside it.

    A module that holds the same rows as one inside it is left out, so `model.layers.0` is told and `model` is not. Of a
    dozen rows there are none.

    Args:
        names: paths of the rows, with dots; in network order.
    """
    if len(names) <= FEW_ROWS:
        return ()
    root = _Node("")
    for row, name in enumerate(names):
        node = root
        node.rows.append(row)
        parts = name.split(".")
        for i, part in enumerate(parts[:-1]):
            node = node.inner.setdefault(part, _Node(".".join(parts[: i + 1])))
            node.rows.append(row)
    found: list[Group] = []
    _collect(root, len(names), 0, None, found)
    return tuple(found)


def _collect(node: _Node, n_rows: int, depth: int, parent: int | None, found: list[Group]) -> None:
    for inner in node.inner.values():
        alone = [deeper for deeper in inner.inner.values() if len(deeper.rows) == len(inner.rows)]
        if len(inner.rows) < FEW:
            continue
        if alone or len(inner.rows) == n_rows or depth >= DEEPEST:
            _collect(inner, n_rows, depth, parent, found)
            continue
        position = len(found)
        found.append(Group(inner.path, depth, parent, tuple(inner.rows)))
        _collect(inner, n_rows, depth + 1, position, found)
