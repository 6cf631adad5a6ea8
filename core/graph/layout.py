"""Boxes in layers from top to bottom, for a drawing without a browser: what reads a value stands below what makes it.

Sugiyama, Tagawa, Toda 1981: layers by the longest path, places for long edges, an order by the mean of neighbours. An
edge to something earlier (a module that is called again) counts for no layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 6
GAP, RANK_GAP, WAYPOINT = 22.0, 34.0, 10.0


@dataclass(frozen=True)
class Laid:
    """Where things stand.

    Attributes:
        places: by name the middle of a box, x and y.
        edges: from, to, and the points between them.
        width, height: of it all.
    """

    places: Mapping[str, tuple[float, float]]
    edges: tuple[tuple[str, str, tuple[tuple[float, float], ...]], ...]
    width: float
    height: float


def laid(reads: Mapping[str, Sequence[str]], sizes: Mapping[str, tuple[float, float]]) -> Laid:
    """Where boxes stand.

    Args:
        reads: by name what it reads, in the order in which they run.
        sizes: width and height of each.
    """
    order = {name: i for i, name in enumerate(reads)}
    rank: dict[str, int] = {}
    for name, inputs in reads.items():
        rank[name] = max((rank[one] + 1 for one in inputs if order[one] < order[name]), default=0)
    if not any(reads.values()):  # a tree of modules: nobody knows what is beside what
        rank = dict(order)
    rows: list[list[str]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for name in reads:
        rows[rank[name]].append(name)
    width = {name: size[0] for name, size in sizes.items()}
    above: dict[str, list[str]] = {name: [] for name in reads}
    below: dict[str, list[str]] = {name: [] for name in reads}
    chains: dict[tuple[str, str], list[str]] = {}
    for name, inputs in reads.items():
        for one in inputs:
            chains[one, name] = _chain(one, name, rank, rows, width)
            passed = [one, *chains[one, name], name]
            for upper, lower in pairwise(passed):
                above.setdefault(lower, []).append(upper)
                below.setdefault(upper, []).append(lower)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for i in range(len(rows)) if down else reversed(range(len(rows))):
            beside = rows[i - 1] if down and i else rows[i + 1] if not down and i + 1 < len(rows) else []
            index = {name: j for j, name in enumerate(beside)}
            rows[i].sort(key=lambda name: _mean([index[one] for one in near.get(name, []) if one in index], None))
    x = _across(rows, above, below, width)
    y, top = {}, 0.0
    for row in rows:
        tall = max((sizes[name][1] for name in row if name in sizes), default=0.0)
        y.update(dict.fromkeys(row, top + tall / 2))
        top += tall + RANK_GAP
    left = min((x[name] - width[name] / 2 for row in rows for name in row), default=0.0)
    x = {name: value - left for name, value in x.items()}
    edges = tuple((one, name, tuple((x[way], y[way]) for way in chain)) for (one, name), chain in chains.items())
    right = max((x[name] + width[name] / 2 for row in rows for name in row), default=0.0)
    return Laid({name: (x[name], y[name]) for name in reads}, edges, right, max(top - RANK_GAP, 0.0))


def _chain(
    upper: str, lower: str, rank: Mapping[str, int], rows: list[list[str]], width: dict[str, float]
) -> list[str]:
    """Waypoints of a long edge, one in every layer that it passes."""
    passed = range(rank[upper] + 1, rank[lower])
    names = [f"{upper} > {lower} @ {i}" for i in passed]
    for i, name in zip(passed, names, strict=True):
        rows[i].append(name)
        width[name] = WAYPOINT
    return names


def _mean(values: Sequence[float], otherwise: float | None) -> float:
    return sum(values) / len(values) if values else (0.0 if otherwise is None else otherwise)


def _across(
    rows: Sequence[Sequence[str]],
    above: Mapping[str, Sequence[str]],
    below: Mapping[str, Sequence[str]],
    width: Mapping[str, float],
) -> dict[str, float]:
    """Places from left to right: near the neighbours, in the order of the row, without overlap."""
    x: dict[str, float] = {}
    for row in rows:
        at = 0.0
        for name in row:
            x[name] = at + width[name] / 2
            at += width[name] + GAP
        x.update({name: x[name] - at / 2 for name in row})
    for sweep in range(2 * SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_mean([x[one] for one in near.get(name, ())], x[name]) for name in row]
            x.update(zip(row, _apart(wanted, [width[name] for name in row]), strict=True))
    return x


def _apart(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The wanted places moved as little as it takes: runs that would overlap stand side by side about their mean."""
    runs: list[tuple[float, float, int]] = []  # sum of wanted starts, length, how many
    offsets: list[float] = []
    for want, wide in zip(wanted, widths, strict=True):
        total, length, n = want - wide / 2, wide + GAP, 1
        offsets.append(0.0)
        while runs and runs[-1][0] / runs[-1][2] + runs[-1][1] > total / n:
            before, long, many = runs.pop()
            total, length, n = before + total - n * long, long + length, many + n
        runs.append((total, length, n))
    placed: list[float] = []
    i = 0
    for total, _, n in runs:
        start = total / n
        for wide in widths[i : i + n]:
            placed.append(start + wide / 2)
            start += wide + GAP
        i += n
    return placed
