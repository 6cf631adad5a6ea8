"""Rows that are cut evenly: every layer of a kind loses the same number, and one number says it. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.errors import SecateurError
from core.plans.solver.rules import Rules


@dataclass(frozen=True)
class Kind:
    """Which rows are of one kind, and which of one layer.

    Attributes:
        name: of the kind: the layer's without its number, with how many channels or heads it has.
        layer: that the row is of: of heads their attention, of channels what they are called by.
        goes_whole: a head or a key/value group: as many go in every layer, whichever. Else one sparsity is for all.
        repeats: whether the layer stands in a numbered block. What does not has no others to be like.
    """

    name: str
    layer: str
    goes_whole: bool
    repeats: bool = True


def evened(
    names: Sequence[str], kinds: Sequence[Kind | None], rules: Rules
) -> tuple[tuple[tuple[int, ...], ...], frozenset[int]]:
    """Positions of rows that are solved as one, each row in one group; and those that count heads, by their first row.

    Raises:
        SecateurError: heads that are even shall be tied to others as well.
    """
    asked = {at: kind for at in rules.even(names) if (kind := kinds[at]) is not None}
    groups = [list(group) for group in rules.tied(names)]
    counted = set()
    for name in dict.fromkeys(kind.name for kind in asked.values()):
        mine = {at for at, kind in asked.items() if kind.name == name}
        touched = [group for group in groups if mine & set(group)]
        if asked[min(mine)].goes_whole:
            if any(len(group) > 1 for group in touched):
                raise SecateurError(
                    f"a rule ties {names[touched[0][0]]}, and its heads are to be even; leave one of the two out"
                )
            counted.add(min(mine))
        groups = [group for group in groups if not mine & set(group)]
        groups.append(sorted(at for group in touched for at in group))
    return tuple(tuple(group) for group in sorted(groups)), frozenset(counted)


def counted_levels(
    group: Sequence[int],
    layers: Mapping[int, str],
    sparsities: Sequence[Sequence[float]],
    allowed: Mapping[int, Sequence[int]],
    harm: Sequence[Sequence[float]],
) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...], bool]:
    """Of each number of heads that every layer can lose the level of each row: those that harm least in a layer go.

    Args:
        group: positions of the rows, of one kind.
        layers: of each row.
        sparsities: of the levels of each row, 0 and for what may go 1.
        allowed: levels that each row may have by the rules.
        harm: of the levels of each row.

    Returns:
        Levels of the rows for 0, 1, … heads; positions of those that the rules allow; and whether they could be had.
    """
    order: dict[str, list[int]] = {}
    forced: dict[str, int] = {}
    for at in group:
        may = {sparsities[at][level] > 0 for level in allowed[at]}
        forced[layers[at]] = forced.get(layers[at], 0) + (may == {True})
        order.setdefault(layers[at], []).extend([at] if True in may else [])
    for some in order.values():
        some.sort(key=lambda at: (any(not sparsities[at][i] for i in allowed[at]), harm[at][-1] - harm[at][0], at))
    least, most = max(forced.values()), min(map(len, order.values()))
    levels = []
    for n in range(most + 1):
        gone = {at for some in order.values() for at in some[:n]}
        levels.append(tuple(len(sparsities[at]) - 1 if at in gone else 0 for at in group))
    good = tuple(range(least, most + 1))
    return tuple(levels), good or (most,), bool(good)
