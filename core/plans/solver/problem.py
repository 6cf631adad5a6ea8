"""What the solver is asked once the rules are applied: rows that are tied are one. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from core.errors import SecateurError
from core.plans.solver.even import Kind, counted_levels, evened
from core.plans.solver.knapsack import Row
from core.plans.solver.rules import Allowed, Rules, allowed_levels


@dataclass(frozen=True)
class Problem:
    """Rows as the solver wants them, and the way back.

    Attributes:
        rows: tied ones added up, level by level, over the sparsities that all of them have.
        allowed: levels that each may take.
        members: of each, the positions of the rows it stands for.
        levels: of each, of each of its levels, the level of each member.
        notes: what the rules could not have as they say.
    """

    rows: tuple[Row, ...]
    allowed: tuple[tuple[int, ...], ...]
    members: tuple[tuple[int, ...], ...]
    levels: tuple[tuple[tuple[int, ...], ...], ...]
    notes: tuple[str, ...] = ()

    def spread(self, solved: Sequence[int]) -> tuple[int, ...]:
        """From a level per row of the problem to a level per row that it was made of."""
        chosen: dict[int, int] = {}
        for members, levels, level in zip(self.members, self.levels, solved, strict=True):
            chosen.update(zip(members, levels[level], strict=True))
        return tuple(chosen[i] for i in range(len(chosen)))


def posed(
    rows: Sequence[Row],
    sparsities: Sequence[Sequence[float]],
    current: Sequence[float],
    rules: Rules,
    kinds: Sequence[Kind | None] | None = None,
) -> Problem:
    """Apply rules to rows.

    Args:
        rows: one per target, with a harm and a cost for each of its sparsities.
        sparsities: of the levels of each row, ascending.
        current: sparsity of each row in the plan as it is.
        rules: locks, bounds, ties, even layers.
        kinds: of each row, for even layers; `None` for one of none.

    Raises:
        SecateurError: tied rows that have no sparsity in common, or heads that are even and tied.
    """
    names = [row.name for row in rows]
    free = [allowed_levels(*each, rules) for each in zip(names, sparsities, current, strict=True)]
    kinds = kinds or [None] * len(rows)
    alone = []
    for at in rules.even(names):
        kind, zero = kinds[at], tuple(i for i in free[at].levels if not sparsities[at][i])
        if kind is not None and not kind.repeats and 0 < len(zero) < len(free[at].levels):
            free[at] = Allowed(zero)
            alone.append(at)
    notes = [found.note for found in free if found.note]
    if alone:
        notes.append(
            f"{_named(alone, names)} stay whole, for no numbered block holds them: they have no layers to be like"
        )
    members, counted = evened(names, kinds, rules)
    joined: list[tuple[Row, tuple[int, ...], tuple[tuple[int, ...], ...]]] = []
    for group in members:
        if len(group) == 1:
            (at,) = group
            joined.append((rows[at], free[at].levels, tuple((level,) for level in range(len(rows[at].harm)))))
            continue
        if group[0] in counted:
            layers = {at: kind.layer for at in group if (kind := kinds[at]) is not None}
            by_count, good, could = counted_levels(
                group, layers, sparsities, {at: free[at].levels for at in group}, [row.harm for row in rows]
            )
            if not could:
                notes.append(f"{_named(group, names)} are even, and no number suits all; {good[0]} of each is nearest")
            joined.append((_added(group, by_count, rows), good, by_count))
            continue
        levels, common = _common(group, names, sparsities)
        # how far a sparsity is from what each member may have; the nearest one where they cannot agree
        wanted = [[sparsities[at][level] for level in free[at].levels] for at in group]
        apart = [sum(min(abs(one - other) for other in some) for some in wanted) for one in common]
        good = tuple(i for i, distance in enumerate(apart) if distance < 1e-6)
        if not good:
            nearest = apart.index(min(apart))
            good = (nearest,)
            notes.append(f"{_named(group, names)} are tied, and no sparsity suits all; {common[nearest]:g} is nearest")
        joined.append((_added(group, levels, rows), good, levels))
    parts = tuple(zip(*joined, strict=True)) or ((), (), ())
    return Problem(parts[0], parts[1], members, parts[2], tuple(notes))


def _added(group: Sequence[int], levels: Sequence[Sequence[int]], rows: Sequence[Row]) -> Row:
    """Rows of a group as one: harm and cost of each choice of their levels."""
    harm, cost = (
        tuple(fsum(of[at][level] for at, level in zip(group, each, strict=True)) for each in levels)
        for of in ([row.harm for row in rows], [row.cost for row in rows])
    )
    return Row(_named(group, [row.name for row in rows]), harm, cost)


def _common(
    group: Sequence[int], names: Sequence[str], sparsities: Sequence[Sequence[float]]
) -> tuple[tuple[tuple[int, ...], ...], tuple[float, ...]]:
    """Of each sparsity that all rows of a group have, the level of each; and the sparsities."""
    known = [{round(one, 9): level for level, one in enumerate(sparsities[at])} for at in group]
    common = sorted(set.intersection(*map(set, known)))
    if not common:
        raise SecateurError(
            f"{_named(group, names)} are tied and have no sparsity in common; measure them at the same ones"
        )
    return tuple(tuple(of[one] for of in known) for one in common), tuple(common)


def _named(group: Sequence[int], names: Sequence[str]) -> str:
    few = ", ".join(names[at] for at in group[:3])
    return few if len(group) <= 3 else f"{few} and {len(group) - 3} more"
