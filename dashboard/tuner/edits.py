"""What the tuner sends when a hand lets go: changes of rows, locks, a goal; and what they make of a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.errors import SecateurError
from core.plans.checked import checked_sparsity
from core.plans.plan import SparsityPlan
from dashboard.tuner.rows import Hold, TunerRow, key_text


@dataclass(frozen=True)
class Goal:
    """What a person wants of the whole plan.

    Attributes:
        kind: of cost; `"tolerance"` for a predicted drop.
        value: of a cost, the fraction left, in [0, 1]; of a tolerance, the drop in the metric's unit.
        cost: kind of cost that a tolerance makes as small as it can be.
        even: every layer of a kind loses the same number of channels, or of heads.
    """

    kind: str
    value: float
    cost: str = ""
    even: bool = False


@dataclass(frozen=True)
class Edit:
    """One release of a slider, a click, a goal.

    Attributes:
        number: counts up from 1 within one drawing of the tuner.
        changes: by key of a row or fixed cut, the sparsity; 0 takes the cut out.
        holds: by key of a row, lock and bounds.
        goal: to solve for, after the changes.
        focus: key of the row that was touched last.
    """

    number: int
    changes: Mapping[str, float] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    goal: Goal | None = None
    focus: str | None = None


def read_edits(message: Any) -> tuple[str, tuple[Edit, ...]]:
    """Drawing and edits of a message, oldest first.

    A message repeats every edit that the server has not answered yet: Streamlit joins messages that come at one time,
    and keeps the last.

    Raises:
        SecateurError: it is not what the tuner sends.
    """
    try:
        edits = tuple(_edit(fields) for fields in message["edits"])
        return str(message["drawing"]), tuple(sorted(edits, key=lambda edit: edit.number))
    except (KeyError, TypeError, ValueError) as error:
        raise SecateurError(f"the tuner sent what nobody can read ({error!r}); reload the page") from None


def _edit(fields: Mapping[str, Any]) -> Edit:
    goal = fields.get("goal")
    return Edit(
        int(fields["number"]),
        {str(key): float(value) for key, value in fields.get("changes", {}).items()},
        {
            str(key): Hold(bool(locked), float(least), float(most))
            for key, (locked, least, most) in fields.get("holds", {}).items()
        },
        Goal(str(goal["kind"]), float(goal["value"]), str(goal.get("cost", "")), bool(goal.get("even")))
        if goal
        else None,
        fields.get("focus"),
    )


def apply_changes(plan: SparsityPlan, rows: Sequence[TunerRow], changes: Mapping[str, float]) -> SparsityPlan:
    """The plan with the changed lines, and every other line as it is.

    Args:
        plan: as it is on disk now; not modified.
        rows: of the model.
        changes: as in `Edit`; keys of no row and of no line are passed over.

    Raises:
        SecateurError: a sparsity that is no fraction in [0, 1).
    """
    named = {row.key: row for row in rows}
    lines = {key_text(cut.granularity, cut.target): cut for cut in plan.cuts}
    for key, value in changes.items():
        row = named.get(key)
        if row is None:
            if value == 0:  # a cut in a pattern, which has no row of its own
                lines.pop(key, None)
        elif row.whole:
            lines.pop(key, None)
            if value:
                lines[key] = row.cut()
        else:
            lines[key] = row.cut(round(checked_sparsity(value, f" of {row.target.name}"), 6))
    return replace(plan, cuts=tuple(lines.values()))
