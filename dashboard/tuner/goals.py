"""A goal of the tuner handed to the solver: locks and bounds of rows as rules, its answer as a plan and a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core import numbers
from core.errors import SecateurError
from core.jobs.known.plan_words import COST_WORDS
from core.plans.costs.left import KINDS, Kind
from core.plans.costs.savings import SavedTime
from core.plans.costs.steps import Ends
from core.plans.plan import SparsityPlan
from core.plans.prediction import Predictor
from core.plans.solver.rules import Rule, Rules
from core.tuning import goal as solver
from core.tuning.plan_rows import NO_ENDS, plan_rows, row_name
from core.workload.description import Description
from dashboard.tuner.edits import Goal
from dashboard.tuner.rows import TunerRow, key_text

LEAST_LEFT, LEAST_TOLERANCE = 1e-6, 1e-9  # the ends of the control are no goals, what is next to them is


@dataclass(frozen=True)
class Answer:
    """What a goal makes of a plan, and what a person should know of it."""

    plan: SparsityPlan
    note: str


def solved(
    goal: Goal,
    rows: Sequence[TunerRow],
    plan: SparsityPlan,
    predictor: Predictor,
    found: Description,
    saved: SavedTime | None = None,
    ends: Ends = NO_ENDS,
) -> Answer:
    """The plan of least predicted drop within a cost, or of least cost within a tolerance.

    Rows that are locked, or of whose cut nothing was measured, stay as they are, and count. Which granularities move is
    the solver's choice for the kind of cost.

    Raises:
        SecateurError: no such kind of cost, or nothing that it is made of was measured; layers of a kind shall be even
            and one of them was not measured.
    """
    kind = next((kind for kind in KINDS if kind in (goal.kind, goal.cost)), None)
    if kind is None:
        raise SecateurError(f"there is no cost {goal.kind!r}; choose one of {', '.join(KINDS)}")
    stays = [row for row in rows if row.hold.locked or (row.harm is None and row.sparsity)]
    rules = [Rule("lock", row_name(row.target)) for row in stays]
    rules += [
        Rule("bounds", row_name(row.target), least=row.hold.least, most=row.hold.most)
        for row in rows
        if row not in stays and (row.hold.least > 0 or row.hold.most < 1)
    ]
    is_tolerance = goal.kind == "tolerance"
    asked = solver.Goal(
        kind,
        None if is_tolerance else min(1.0, max(goal.value, LEAST_LEFT)),
        max(goal.value, LEAST_TOLERANCE) if is_tolerance else None,
    )
    ruled = Rules(tuple(rules))
    done = solver.solve(asked, predictor, found, saved, plan, ruled.evened() if goal.even else ruled, ends=ends)
    keys = {row.key for row in stays}  # a rule keeps the sparsity, this the criterion as well
    kept = [cut for cut in plan.cuts if key_text(cut.granularity, cut.target) in keys]
    moved = [cut for cut in done.plan.cuts if key_text(cut.granularity, cut.target) not in keys]
    return Answer(replace(plan, cuts=(*kept, *moved)), f"{_asked(goal, done, found)}: {_note(goal, kind, done)}")


def _asked(goal: Goal, done: solver.Solved, found: Description) -> str:
    """`50 % asked, 49.85 % reached`: a goal stays what was typed, and levels are no continuum."""
    if goal.kind != "tolerance":
        asked, reached = (numbers.sparsity_text(round(share, 4)) for share in (goal.value, done.left))
        return f"{asked} asked, {reached} reached"
    asked, bound = numbers.limit_text(found.scale, goal.value), done.prediction.drop_bound
    reached = "" if bound is None else f", {numbers.drop_text(found.scale, bound)} reached for nine of ten such plans"
    return f"{asked} asked{reached}"


def _note(goal: Goal, kind: Kind, done: solver.Solved) -> str:
    notes = " ".join(f"{note}." for note in done.notes)
    if not done.feasible:
        what = (
            "the tolerance"
            if goal.kind == "tolerance"
            else f"{numbers.share_text(goal.value)} of the {COST_WORDS[kind]}"
        )
        text = f"no plan reaches {what}: this is the nearest. Unlock rows, widen their bounds, or sweep further."
    elif not done.proven:
        text = "solved; the time was up before it was proven to be the best"
        if kind == "memory":
            text = "solved; memory is a maximum and no sum, so no other plan is ruled out"
    else:
        text = "solved exactly" if done.cost.exact else "solved; where cuts meet, the limit was moved until it is met"
    return f"{text} {notes}".strip()


def moving(predictor: Predictor | None) -> dict[str, list[str]]:
    """By kind of cost, the granularities that a goal moves."""
    return {kind: list(solver.solved_granularities(kind, predictor)) for kind in KINDS} if predictor else {}


def spared(predictor: Predictor | None, found: Description) -> frozenset[str]:
    """Keys of rows that no goal cuts: one head of every attention."""
    if predictor is None:
        return frozenset()
    every = {target.granularity for target in found.targets}
    rows = plan_rows(predictor, found, SparsityPlan(), every)
    return frozenset(key_text(row.curve.granularity, row.curve.target) for row in rows if len(row.sparsities) == 1)
