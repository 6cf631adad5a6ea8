"""A gate: is a model worse than another on the same examples, in all and in every group? No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from core.certificates.bound import (
    Scores,
    examples_to_see,
    lower_bound,
    more_examples,
    unit_drops,
    upper_bound,
)
from core.errors import SecateurError
from core.shown import Shown
from core.workload.columns import Value
from core.workload.scale import Scale

Verdict = Literal["not worse", "worse", "cannot tell"]
EXIT_CODES: Mapping[Verdict, int] = {"not worse": 0, "worse": 1, "cannot tell": 3}  # 2 is of bad input
BEYOND = (
    0.01  # of the metric's range, or half of the margin: the loss beyond it of which the gate tells when it sees it
)


@dataclass(frozen=True)
class GateRow:
    """What is known of all examples, or of a group.

    Attributes:
        group: `""` for all, else `"column = value"`.
        within: loss that is accepted, in the metric's unit.
        n: examples of it.
        drop: of the candidate from the baseline on these; `None` without any.
        bound, floor: what it is at most, and at least.
        verdict: of this row.
        more: further examples, of all groups together, that would bring the answer, about; `None` if none are needed,
            or nobody can say.
    """

    group: str
    within: float
    n: int
    drop: float | None
    bound: float
    floor: float
    verdict: Verdict
    more: int | None


@dataclass(frozen=True)
class GateReport(Shown):
    """What a gate found.

    Attributes:
        scale: of the metric.
        confidence: that neither answer is wrong.
        n, n_all: examples that were looked at, and that there are.
        rows: all examples first, then groups, the largest drop first.
        verdict: worse if a row is; not worse if every row is not.
        more: further examples that would bring the answer, about.
        sees, sees_at: a loss that is that large, in the metric's unit, is found at about so many examples, nine times
            in ten; `None` if nobody can say.
    """

    scale: Scale
    confidence: float
    n: int
    n_all: int
    rows: tuple[GateRow, ...]
    verdict: Verdict
    more: int | None
    sees: float
    sees_at: int | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Margins:
    """What is accepted.

    Attributes:
        within: loss on all examples, in the metric's unit, at least 0.
        guards: loss on every group of a column.
        confidence: that neither answer is wrong, from 0.5 to below 1.

    Raises:
        SecateurError: one is out of its range.
    """

    within: float
    guards: Mapping[str, float]
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise SecateurError(f"confidence must lie from 50 to below 100 percent, got {100 * self.confidence:.4g}")


def groups_of(columns: Mapping[str, Sequence[Value]], guards: Mapping[str, float]) -> dict[tuple[str, Value], float]:
    """Every group that is guarded, with its margin.

    Raises:
        SecateurError: no such column.
    """
    for column in guards:
        if column not in columns:
            there = f"choose one of {', '.join(sorted(columns))}" if columns else "give the workload columns"
            raise SecateurError(f"--guard: the examples have no column {column!r}; {there}")
    return {(column, value): margin for column, margin in guards.items() for value in dict.fromkeys(columns[column])}


def judge(
    scale: Scale,
    baseline: Scores,
    candidate: Scores,
    columns: Mapping[str, Sequence[Value]],
    groups: Mapping[tuple[str, Value], float],
    margins: Margins,
    n_all: int,
) -> GateReport:
    """What scores so far say; may be asked after every batch.

    "Not worse" takes that all rows are within, each at the full confidence: that all hold is no lucky pick. "Worse"
    takes one row that is not, and the more rows there are the likelier one is by chance: half of the chance to be wrong
    is for all examples together, the other half is shared by the groups.

    Args:
        scale: bounded, of equal weights; see `check_bounded`.
        baseline, candidate: scores of the same examples, in the order in which they came, (n,).
        columns: of the same examples, n values each.
        groups: as of `groups_of`, of all the examples that there are.
        margins: what is accepted.
        n_all: examples that there are.
    """
    alpha, n = 1 - margins.confidence, len(baseline)
    shares = (alpha / 2, alpha / 2 / len(groups)) if groups else (alpha, alpha)

    def row(group: str, within: float, where: slice | np.ndarray[Any, Any], share: float) -> GateRow:
        ours, theirs = candidate[where], baseline[where]
        if not len(ours):
            reach = (scale.high or 0.0) - (scale.low or 0.0)
            return GateRow(group, within, 0, None, reach, -reach, "cannot tell", None)
        bound = upper_bound(scale, theirs, ours, alpha)
        floor = lower_bound(scale, theirs, ours, share)
        drop = scale.drop(float(theirs.mean()), float(ours.mean()))
        if floor > within:
            return GateRow(group, within, len(ours), drop, bound, floor, "worse", None)
        if bound <= within:
            return GateRow(group, within, len(ours), drop, bound, floor, "not worse", None)
        drops = unit_drops(scale, theirs, ours)
        asked = (
            more_examples(scale, drops, within, alpha),
            more_examples(scale, drops, within, share, below=False),
        )
        some = [more for more in asked if more is not None]
        more = round(min(some) * n / len(ours)) if some else None
        return GateRow(group, within, len(ours), drop, bound, floor, "cannot tell", more)

    found = [
        row(f"{column} = {value}", within, np.array([one == value for one in columns[column]], dtype=bool), shares[1])
        for (column, value), within in groups.items()
    ]
    found.sort(key=lambda one: -np.inf if one.drop is None else one.drop, reverse=True)
    rows = (row("", margins.within, slice(None), shares[0]), *found)
    verdicts = {one.verdict for one in rows}
    verdict: Verdict = "worse" if "worse" in verdicts else "cannot tell" if "cannot tell" in verdicts else "not worse"
    unsure = [one.more for one in rows if one.verdict == "cannot tell"]
    known = [more for more in unsure if more is not None]
    more = max(known) if verdict == "cannot tell" and len(known) == len(unsure) else None
    reach = (scale.high or 0.0) - (scale.low or 0.0)
    sees = margins.within + max(BEYOND * reach, margins.within / 2)
    sees_at = examples_to_see(scale, unit_drops(scale, baseline, candidate), sees, margins.within, shares[0])
    return GateReport(scale, margins.confidence, n, n_all, rows, verdict, more, sees, sees_at)
