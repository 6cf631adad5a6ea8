"""Which dimension of which tensor follows which cut, read from passes of the dense model and of models with one cut.

A tensor's dimension may follow several: added up (channels that are joined) or multiplied (examples and heads folded
into one). Which of the two is told by passes where everything is cut together; what neither explains is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from core.profiling.memory import Storage
from core.workload.description import BATCH, Factor, Held

Pass = Sequence[Storage]


class NotUnderstood(Exception):  # noqa: N818 - not an error of anybody: some passes follow no rule
    """Why what a pass holds cannot be told."""


@dataclass(frozen=True)
class Changed:
    """A pass of a model without some units, and of which.

    Attributes:
        gone: units by name; of `BATCH` the examples are `1 - gone`.
        seen: what the pass held.
    """

    gone: Mapping[str, int]
    seen: Pass


def differs(dense: Pass, other: Pass) -> str | None:
    """Why two passes cannot be compared tensor by tensor; `None` if they can."""
    for one, two in zip(dense, other, strict=False):
        if one.by != two.by:
            return f"where the dense model has {one.by}, it then has {two.by}"
    if len(dense) != len(other):
        return f"the pass then holds {len(other)} tensors, not {len(dense)}"
    for one, two in zip(dense, other, strict=True):
        if one.each != two.each:
            return f"{one.by} then gives another type of number"
        if one.dies != two.dies:
            return f"what {one.by} gives is then freed earlier or later"
    return None


def fitted(dense: Pass, alone: Sequence[Changed], together: Sequence[Changed]) -> tuple[Held, ...]:
    """What the dense pass holds, and what of it follows which cut.

    Args:
        dense: at a batch of 1.
        alone: passes with units of one name gone each.
        together: passes with many gone, that the answer is compared with; at least one.

    Raises:
        NotUnderstood: some tensor follows another rule; names the first.
    """
    last = _moments(dense)
    held: dict[tuple[int, int, tuple[Factor, ...]], float] = {}
    for i, one in enumerate(dense):
        shape, shapes, wanted = _shapes(i, dense, alone, together)
        parts = [
            _dimension(
                one.by,
                size,
                {name: (size - cut[j]) / n for (name, n), cut in shapes if cut[j] != size},
                [(changed.gone, cut[j]) for changed, cut in zip(together, wanted, strict=True)],
            )
            for j, size in enumerate(shape)
        ]
        size = one.each * prod(number for number, _ in parts)
        factors = tuple(sorted(factor for _, some in parts for factor in some))
        born, dies = _first(last, one.born), _first(last, one.dies)
        held[born, dies, factors] = held.get((born, dies, factors), 0.0) + size
    return tuple(Held(born, dies, size, factors) for (born, dies, factors), size in held.items())


def _shapes(
    i: int, dense: Pass, alone: Sequence[Changed], together: Sequence[Changed]
) -> tuple[tuple[int, ...], list[tuple[tuple[str, int], tuple[int, ...]]], list[tuple[int, ...]]]:
    """Shapes of a tensor in every pass; flat where it has not the same number of dimensions in all of them."""
    every = [dense[i].shape, *(one.seen[i].shape for one in (*alone, *together))]
    if len({len(shape) for shape in every}) > 1:
        every = [(prod(shape),) for shape in every]
    names = [next(iter(one.gone.items())) for one in alone]
    return every[0], list(zip(names, every[1 : 1 + len(alone)], strict=True)), every[1 + len(alone) :]


def _dimension(
    by: str, size: int, each: Mapping[str, float], wanted: Sequence[tuple[Mapping[str, int], int]]
) -> tuple[float, list[Factor]]:
    """A number and factors whose product is the dimension's size in every pass.

    Raises:
        NotUnderstood: none of the rules gives what was seen.
    """
    for number, factors in _rules(size, each):
        if all(_size(number, factors, gone) == seen for gone, seen in wanted):
            return number, factors
    seen = wanted[0][1]
    names = " and ".join(each) or "nothing"
    raise NotUnderstood(f"a dimension of {by}, {size} and then {seen}, follows {names} by no rule that is known here")


def _rules(size: int, each: Mapping[str, float]) -> list[tuple[float, list[Factor]]]:
    if not each:
        return [(float(size), [])]
    added: Factor = (float(size), tuple(sorted(each.items())))
    if len(each) == 1:
        return [(1.0, [added])]
    multiplied: list[Factor] = [(1.0, ((name, one / size),)) for name, one in sorted(each.items())]
    rules = [(1.0, [added]), (float(size), multiplied)]
    if BATCH in each and len(each) > 2:
        others = tuple(sorted((name, one) for name, one in each.items() if name != BATCH))
        rules.append((1.0, [(1.0, ((BATCH, each[BATCH] / size),)), (float(size), others)]))
    return rules


def _size(number: float, factors: Sequence[Factor], gone: Mapping[str, int]) -> float:
    left = prod(size - sum(one * gone.get(name, 0) for name, one in by) for size, by in factors)
    return round(number * left, 6)


def _moments(dense: Pass) -> list[int]:
    """By how many tensors have come, the moments at which most is held: before something is freed, and the last."""
    return sorted({one.dies - 1 for one in dense})


def _first(moments: Sequence[int], born: int) -> int:
    """The number of the first of the moments that is not before `born`; after the last, how many there are."""
    return next((i for i, moment in enumerate(moments) if moment >= born), len(moments))
