"""Who suffers from a cut: drops of all groups of the examples together, and the most that a group may lose.

Two questions, which pay differently for many groups. *May I say that no group loses more than its limit?* Every group
has to show it, and to be wrong the interval of a group that loses more has to be wrong: each group's own 95 % interval
counts, without a correction (an intersection-union test: Berger 1982, Technometrics 24:295). *Which group is worse?*
Here somebody looks for the worst, and one of many looks bad by chance: intervals are simultaneous (Bonferroni: Dunn
1961, JASA 56:52), and worse is who stays so in Holm's order (Holm 1979, Scandinavian Journal of Statistics 6:65), where
in at most 5 % of cases any group is named wrongly.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.sensitivity.report import Estimate
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.intervals import LEVEL, TOO_LARGE, drop_estimate
from core.workload.scale import Scale

Value = str | int
Scores = NDArray[np.float64]
Scored = tuple[Scores, Scores, Scores | None]  # dense, cut, weights of the same examples
Says = Literal["kept", "unsure", "beyond", "too few"]
MOST_VALUES = 100  # a column of more values is hardly made of groups, and looked at only if it is asked for


@dataclass(frozen=True)
class GroupDrop:
    """What a cut costs one group of the examples.

    Attributes:
        column, value: what the group is.
        n: its examples.
        drop: paired, with the group's own 95 % interval; `None` where it has none.
        low, high: the ends of its interval where those of all groups hold together in 95 of 100 cases.
        worse: it loses something, also after the correction for having looked at all groups.
        limit: the most that it may lose, in the metric's unit; `None` where nothing is asked.
        says: `kept`: all of the group's own interval is within its limit. `unsure`: the drop is, its upper end is not.
            `beyond`: the drop is not. `too few`: the drop is within, and with so few examples no upper end could be.
    """

    column: str
    value: Value
    n: int
    drop: Estimate | None
    low: float | None
    high: float | None
    worse: bool
    limit: float | None = None
    says: Says | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "GroupDrop":
        """Inverse of `to_json`."""
        plain = {name: value for name, value in fields.items() if name != "of"}
        return cls(**{**plain, "drop": Estimate(**fields["drop"]) if fields["drop"] else None})


def group_drops(
    scale: Scale,
    columns: Mapping[str, Sequence[Value]],
    dense: Scores,
    cut: Scores,
    weights: Scores | None = None,
    limits: Mapping[str, float] | None = None,
) -> tuple[GroupDrop, ...]:
    """Every group of every column: drops, who is worse, and who keeps its limit.

    Args:
        scale: of the scores.
        columns: by name, a value of each example; one of more than 100 values, or of a single one, is passed over
            unless it has a limit.
        dense, cut: scores of the same examples, (n,), finite.
        weights: as for `drop_estimate`.
        limits: by column, the most that each of its groups may lose, in the metric's unit.

    Returns:
        The largest drop first; groups without one last.
    """
    limits = limits or {}
    parts = [
        (column, value, rows)
        for column, values in columns.items()
        for value, rows in _rows(values).items()
        if column in limits or 1 < len(set(values)) <= MOST_VALUES
    ]
    scored: list[Scored | None] = [
        None
        if scale.of_set and column == "class"  # macro F1 averages over classes: within one there is nothing to average
        else (dense[rows], cut[rows], None if weights is None else weights[rows])
        for column, _, rows in parts
    ]
    own = [_drop(scale, one, LEVEL) for one in scored]
    told = [i for i, drop in enumerate(own) if drop is not None]
    together = {i: _drop(scale, scored[i], _level(len(told))) for i in told}
    worse: set[int] = set()
    while len(worse) < len(told):  # Holm: each that is found leaves fewer to correct for
        rest = [i for i in told if i not in worse]
        drops = ((i, _drop(scale, scored[i], _level(len(rest)))) for i in rest)
        new = {i for i, drop in drops if drop is not None and drop.low > 0}
        if not new:
            break
        worse |= new
    found = []
    for i, (column, value, rows) in enumerate(parts):
        limit, drop, all_of_them = limits.get(column), own[i], together.get(i)
        low, high = (all_of_them.low, all_of_them.high) if all_of_them is not None else (None, None)
        says = None if limit is None else _says(scale, drop, scored[i], limit)
        found.append(GroupDrop(column, value, len(rows), drop, low, high, i in worse, limit, says))
    return tuple(sorted(found, key=lambda one: -one.drop.value if one.drop else np.inf))


def are_shown(groups: Iterable[GroupDrop]) -> bool:
    """Whether every limit is kept, interval and all; of groups of too few examples the drop alone counts."""
    return all(group.says in (None, "kept", "too few") for group in groups)


def are_kept(groups: Iterable[GroupDrop]) -> bool:
    """Whether every limit is kept by the drop itself: to be asked on examples that nothing was chosen by."""
    return all(group.says != "beyond" for group in groups)


def excess(groups: Iterable[GroupDrop]) -> float:
    """By how much the drops of all groups are beyond their limits, in the metric's unit; 0 where all are kept."""
    return sum(
        max(0.0, group.drop.value - group.limit)
        for group in groups
        if group.drop is not None and group.limit is not None
    )


def _rows(values: Sequence[Value]) -> dict[Value, list[int]]:
    rows: dict[Value, list[int]] = {}
    for row, value in enumerate(values):
        rows.setdefault(value, []).append(row)
    return rows


def _level(n_groups: int) -> float:
    return 1 - (1 - LEVEL) / n_groups if n_groups > 1 else LEVEL


def _drop(scale: Scale, scores: Scored | None, level: float) -> Estimate | None:
    if scores is None:
        return None
    dense, cut, weights = scores
    n = len(dense) if weights is None or scale.of_set else int((weights > 0).sum())
    if n < 2 or not (np.isfinite(dense).all() and np.isfinite(cut).all()):
        return None
    try:
        drop = drop_estimate(scale, dense, cut, weights, level)
    except UndefinedMetricError:  # of one class alone there is no rank correlation
        return None
    return drop if abs(drop.high) < TOO_LARGE else None


def _says(scale: Scale, drop: Estimate | None, scores: Scored | None, limit: float) -> Says:
    if drop is None or scores is None:
        return "too few"
    if drop.value > limit:
        return "beyond"
    if drop.high <= limit:
        return "kept"
    alike = _drop(scale, (scores[0], scores[0], scores[2]), LEVEL)  # what could be said if nothing had changed
    return "too few" if alike is None or alike.high > limit else "unsure"


def told_groups(groups: Sequence[GroupDrop]) -> list[dict[str, Any]]:
    """What a run keeps of groups, as plain values: who is worse, whose limit is not shown to be kept, the first three.

    Each with `of`, the number of groups that were looked at together.
    """
    of = sum(group.drop is not None for group in groups)
    kept = [
        group
        for i, group in enumerate(groups)
        if group.worse or group.says not in (None, "kept") or (i < 3 and group.drop is not None)
    ]
    return [{**group.to_json(), "of": of} for group in kept]
