"""The plan that is being made for a workload, what it was before, and the rules it is made by. No torch."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from core.errors import SecateurError
from core.jobs.checking.aside import row_aside
from core.jobs.known import left_out
from core.jobs.known.left_out import UNREADABLE, readable
from core.plans.plan import SparsityPlan
from core.workspace import Workspace

STEPS_KEPT = 200  # plans of one draft, the present one among them


class Drafts:
    """One draft per workload, with its history on disk: whoever looks at the workspace undoes the same steps.

    Every call is one transaction, so that two browsers at once leave a history that some order of their steps makes.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def present(self, workload: str) -> SparsityPlan:
        """The plan that is being made; empty at first."""
        with self.workspace.connect() as db:
            return _present(db, workload)

    def save(self, workload: str, plan: SparsityPlan) -> None:
        """Make `plan` the present one, and a step that can be undone, unless it equals the present one.

        What was undone and not done again is forgotten. Of a draft the last `STEPS_KEPT` plans are kept. Every call
        is a step: whoever follows a slider should call once, when it is let go.
        """
        with self.workspace.write() as db:
            before = _present(db, workload)
            self._write(db, workload, plan)
            if plan == before:
                return
            cursor = _cursor(db, workload)
            if cursor is None:  # the first step, or a draft older than histories: undoing it leads to what was there
                cursor = 0
                db.execute("INSERT INTO draft_steps VALUES (?, 0, ?)", (workload, _text(before)))
            db.execute("DELETE FROM draft_steps WHERE workload = ? AND position > ?", (workload, cursor))
            db.execute("INSERT INTO draft_steps VALUES (?, ?, ?)", (workload, cursor + 1, _text(plan)))
            oldest = cursor + 2 - STEPS_KEPT
            db.execute("DELETE FROM draft_steps WHERE workload = ? AND position < ?", (workload, oldest))
            db.execute("INSERT OR REPLACE INTO draft_cursors VALUES (?, ?)", (workload, cursor + 1))

    def undo(self, workload: str) -> SparsityPlan | None:
        """Go back one step: the plan that is the present one now, or `None` where there is nothing to undo."""
        return self._go(workload, -1)

    def redo(self, workload: str) -> SparsityPlan | None:
        """Do again what was undone: the plan that is the present one now, or `None` where nothing was."""
        return self._go(workload, 1)

    def can_undo(self, workload: str) -> bool:
        """Whether `undo` would give a plan."""
        with self.workspace.connect() as db:
            return _step(db, workload, -1) is not None

    def can_redo(self, workload: str) -> bool:
        """Whether `redo` would give a plan."""
        with self.workspace.connect() as db:
            return _step(db, workload, 1) is not None

    def rules(self, workload: str) -> dict[str, Any]:
        """The rules that the draft is made by (locks, bounds, a goal), as they were saved; empty at first."""
        with self.workspace.connect() as db:
            row = db.execute("SELECT document FROM rules WHERE workload = ?", (workload,)).fetchone()
        rows = [row] if row else []
        return next(iter(readable(rows, _rules, lambda _: f"the rules for plans of {workload}")), {})

    def save_rules(self, workload: str, document: Mapping[str, Any]) -> None:
        """Keep the rules that the draft is made by; what they mean is their writer's.

        Raises:
            SecateurError: they are no plain values, or hold a number that is none.
        """
        try:
            text = json.dumps(dict(document), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SecateurError(f"the rules of {workload} must be plain JSON values: {error}") from None
        with self.workspace.write() as db:
            row = db.execute("SELECT * FROM rules WHERE workload = ?", (workload,)).fetchone()
            self._keep_damaged("rules", row, _rules, f"what the rules for plans of {workload} were")
            db.execute("INSERT OR REPLACE INTO rules VALUES (?, ?)", (workload, text))

    def _write(self, db: sqlite3.Connection, workload: str, plan: SparsityPlan) -> None:
        row = db.execute("SELECT * FROM drafts WHERE workload = ?", (workload,)).fetchone()
        self._keep_damaged("drafts", row, _plan, f"what the plan being made for {workload} was")
        db.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?)", (workload, _text(plan)))

    def _keep_damaged(self, table: str, row: sqlite3.Row | None, read: Callable[[sqlite3.Row], Any], what: str) -> None:
        """What cannot be read is set aside, and told of, before it is written over."""
        if row is None:
            return
        try:
            read(row)
        except UNREADABLE:
            note = row_aside(self.workspace, table, row["workload"], {name: row[name] for name in row.keys()})  # noqa: SIM118
            left_out.note(what, SecateurError(f"set aside as it was: {note} in the workspace"))

    def _go(self, workload: str, by: int) -> SparsityPlan | None:
        with self.workspace.write() as db:
            plan = _step(db, workload, by)
            if plan is not None:
                self._write(db, workload, plan)
                db.execute("UPDATE draft_cursors SET position = position + ? WHERE workload = ?", (by, workload))
        return plan


def _present(db: sqlite3.Connection, workload: str) -> SparsityPlan:
    row = db.execute("SELECT plan FROM drafts WHERE workload = ?", (workload,)).fetchone()
    return _read(row, f"the plan being made for {workload}") or SparsityPlan((), workload)


def _text(plan: SparsityPlan) -> str:
    """A plan file on one line: indented, one of 5,000 rows takes ten times as long to write."""
    return json.dumps(plan.to_document())


def _cursor(db: sqlite3.Connection, workload: str) -> int | None:
    """Position of the present plan among the steps; `None` before the first."""
    row = db.execute("SELECT position FROM draft_cursors WHERE workload = ?", (workload,)).fetchone()
    return row["position"] if row else None


def _step(db: sqlite3.Connection, workload: str, by: int) -> SparsityPlan | None:
    """The plan so many steps from the present one."""
    row = db.execute(
        "SELECT plan FROM draft_steps JOIN draft_cursors USING (workload) "
        "WHERE workload = ? AND draft_steps.position = draft_cursors.position + ?",
        (workload, by),
    ).fetchone()
    return _read(row, f"a step of the plan being made for {workload}")


def _read(row: sqlite3.Row | None, what: str) -> SparsityPlan | None:
    rows = [row] if row else []
    return next(iter(readable(rows, _plan, lambda _: what)), None)


def _plan(row: sqlite3.Row) -> SparsityPlan:
    return SparsityPlan.from_json(row["plan"])


def _rules(row: sqlite3.Row) -> dict[str, Any]:
    found = json.loads(row["document"])
    if not isinstance(found, dict):
        raise TypeError("rules are an object")
    return found
