"""The plan book: every plan that was made on purpose or measured, and what became of its prediction. No torch."""

import difflib
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from core.errors import SecateurError
from core.jobs.drafts import Drafts
from core.jobs.known.kept_plan import ID_DIGITS, MAKERS, KeptPlan, MadeBy, MeasuredPlan, PlanResult
from core.jobs.known.kept_rows import all_kept, ancestors, set_column
from core.jobs.known.plan_results import newest_model, plan_results, profiles
from core.jobs.runs import RunStore
from core.plans.plan import Form, SparsityPlan
from core.plans.prediction import Prediction
from core.typed import name_of, note_of
from core.workspace import Workspace

Goal = Mapping[str, Any] | str
PLANNING = ("anchors", "minimise", "refine", "frontier")  # kinds of runs that keep plans and measure them on their way


class PlanBook:
    """The kept plans of a workspace, by workload; a plan is known by what it cuts, so that equal ones are one.

    Attributes:
        drafts: the plan that is being made for each workload, with undo and redo.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.drafts = Drafts(workspace)

    def keep(
        self,
        workload: str,
        plan: SparsityPlan,
        made_by: MadeBy | None,
        parent: str | None = None,
        prediction: Prediction | None = None,
        goal: Goal | None = None,
        *,
        n_plans: int = 0,
        model: str | None = None,
    ) -> KeptPlan:
        """Keep a plan. One that is kept already, or was measured, stays as it is, but for its prediction.

        The newest prediction counts, until the plan is measured on that model: what is said afterwards is hindsight,
        and is passed over without a word, as is a plan's being its own ancestor.

        Args:
            workload: name or path, as runs have it.
            plan: to keep.
            made_by: who made it; `None`: not known.
            parent: id or name of the plan that it was made from.
            prediction: of its drop, not known from measuring it.
            goal: what it was made for: words, or plain values.
            n_plans: measured plans that the prediction rests on.
            model: fingerprint of the model that the prediction is for; by default what the workspace last read.

        Raises:
            SecateurError: an unknown maker or parent, or a prediction for a model that was never read.
        """
        if made_by is not None and made_by not in MAKERS:
            raise SecateurError(f"a plan is made by one of {', '.join(MAKERS)}; got {made_by!r}")
        fingerprint = plan.fingerprint()
        elder = self.get(workload, parent).fingerprint if parent is not None else None
        if prediction is not None and model is None:
            model = self._model(workload)
            if model is None:
                raise SecateurError(
                    f"a prediction is for a model; read {workload} first: `secateur targets {workload}`"
                )
        now = time.time()
        with self.workspace.write() as db:
            results = [result for _, of, result in plan_results(db, workload) if of == fingerprint]
            made, text = now, json.dumps(goal) if goal else None
            if results:  # known since it was measured; who made it then, nobody knows now
                made_by, elder, made, text = None, None, results[0].ended, None
            elif elder is not None and fingerprint in ancestors(db, workload, elder):
                elder = None
            db.execute(
                "INSERT OR IGNORE INTO plans VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, ?)",
                (workload, fingerprint, plan.to_json(), made_by, elder, made, text),
            )
            if prediction is not None and all(result.model not in (model, None) for result in results):
                db.execute(
                    "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?, ?, ?, ?)",
                    (workload, fingerprint, model, now, n_plans, json.dumps(prediction.to_json())),
                )
        return self.get(workload, fingerprint)

    def all(self, workload: str) -> tuple[KeptPlan, ...]:
        """Every plan that was kept or measured, newest first; those that only a run knows are made by `None`."""
        model = self._model(workload)
        with self.workspace.connect() as db:
            db.execute("BEGIN")
            return all_kept(db, workload, model, plan_results(db, workload))

    def measured(self, workload: str, model: str | None = None) -> tuple[MeasuredPlan, ...]:
        """Every measured plan in every form it was measured in, newest plan first, masked before shrunk.

        Of several measurements of one plan in one form the one on the most examples counts, then the newest.

        Args:
            workload: name or path.
            model: fingerprint of the dense model; by default as the workspace last read it. What was measured on an
                earlier version of the model is left out.
        """
        model = model or self._model(workload)
        with self.workspace.connect() as db:
            db.execute("BEGIN")  # one moment for all that is read
            results = plan_results(db, workload)
            kept, profiled = all_kept(db, workload, model, results), profiles(db, workload)
        best: dict[tuple[str, Form], PlanResult] = {}
        for _, fingerprint, result in results:
            key = fingerprint, result.form
            if result.model == model is not None and (key not in best or result.dense.n >= best[key].dense.n):
                best[key] = result
        forms: tuple[Form, ...] = ("masked", "shrunk")
        return tuple(
            MeasuredPlan(one, best[key], profiled.get((key[0], model or "")))
            for one in kept
            for key in ((one.fingerprint, form) for form in forms)
            if key in best
        )

    def get(self, workload: str, which: str) -> KeptPlan:
        """The plan of that name, or else the one whose id starts with `which`.

        Raises:
            SecateurError: none does, or several do; says which come close.
        """
        known = self.all(workload)
        found = [one for one in known if which and one.name == which]
        found = found or [one for one in known if which and one.fingerprint.startswith(which.lower())]
        if len(found) == 1:
            return found[0]
        if found:
            which_ones = ", ".join(one.id for one in found)
            what = "are called" if found[0].name == which else "start with"
            raise SecateurError(f"{len(found)} plans of {workload} {what} {which!r}: {which_ones}; give more of the id")
        close = difflib.get_close_matches(which, [word for one in known for word in (one.name, one.id) if word], n=1)
        mend = f"did you mean {close[0]}?" if close else f"`secateur plans {workload}` lists them"
        raise SecateurError(f"no plan {which!r} of {workload} in {self.workspace.folder}; {mend}")

    def rename(self, workload: str, which: str, name: str) -> KeptPlan:
        """Give a plan a name, of one line; an empty one takes its name away.

        Raises:
            SecateurError: it is another plan's of the workload, reads like an id, is too long or cannot be shown.
        """
        name = name_of(name, "plan")
        if re.fullmatch(rf"[0-9a-fA-F]{{{ID_DIGITS},}}", name):
            raise SecateurError(f"{name!r} reads like a plan's id; choose a name with another letter in it")
        one = self.get(workload, which)
        with self.workspace.write() as db:
            taken = db.execute(
                "SELECT plan FROM plans WHERE workload = ? AND name = ? AND plan != ?",
                (workload, name, one.fingerprint),
            ).fetchone()
            if taken:
                raise SecateurError(f"plan {taken['plan'][:ID_DIGITS]} is called {name!r} already; choose another name")
            set_column(db, one, "name", name or None)
        return self.get(workload, one.fingerprint)

    def write_note(self, workload: str, which: str, note: str) -> KeptPlan:
        """Write a note beside a plan, in the place of the one that was there; an empty one takes it away.

        Raises:
            SecateurError: it is too long, or cannot be shown.
        """
        note = note_of(note, "plan")
        one = self.get(workload, which)
        with self.workspace.write() as db:
            set_column(db, one, "note", note or None)
        return self.get(workload, one.fingerprint)

    def forget(self, workload: str, which: str) -> KeptPlan:
        """Take a plan out of the book that nobody has measured; plans made from it are then made from its parent.

        Raises:
            SecateurError: it was measured, or is being measured: finished work is not thrown away.
        """
        one = self.get(workload, which)
        for run in RunStore(self.workspace).active():
            if run.workload != workload:
                continue
            asked = run.request.get("plan")
            if run.kind in PLANNING:
                raise SecateurError(
                    f"run {run.id} is at work on plans of {workload}, perhaps on {one.id}; wait until it has ended, or "
                    f"`secateur stop {run.id}` first"
                )
            if asked and SparsityPlan.from_document(asked) == one.plan:
                raise SecateurError(f"plan {one.id} is at work in run {run.id}; `secateur stop {run.id}` first")
        with self.workspace.write() as db:
            by = next((result.run for _, of, result in plan_results(db, workload) if of == one.fingerprint), None)
            if by is not None:
                raise SecateurError(f"plan {one.id} was measured by run {by}, and what was measured is kept")
            key = (workload, one.fingerprint)
            elder = db.execute("SELECT parent FROM plans WHERE workload = ? AND plan = ?", key).fetchone()
            db.execute("UPDATE plans SET parent = ? WHERE workload = ? AND parent = ?", (elder and elder[0], *key))
            db.execute("DELETE FROM plans WHERE workload = ? AND plan = ?", key)
            db.execute("DELETE FROM predictions WHERE workload = ? AND plan = ?", key)
        return one

    def _model(self, workload: str) -> str | None:
        """Fingerprint of the model as it was last read; of one that left no description, as it was last measured."""
        known = RunStore(self.workspace).description(workload)
        if known is not None:
            return known[0].fingerprint
        with self.workspace.connect() as db:
            return newest_model(db, workload)
