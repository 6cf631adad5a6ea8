"""The command that makes the plan for a goal, by what was measured already."""

from pathlib import Path
from typing import Any

import click

from core.cli.following import open_store
from core.cli.options import FractionType, json_option, print_json, workspace_option
from core.cli.tuning.goal_options import (
    cost_option,
    criterion_option,
    cut_option,
    json_of,
    known,
    print_lines,
    rules_option,
    words_of,
)
from core.errors import SecateurError


@click.command()
@click.argument("model")
@cost_option
@click.option("--left", type=FractionType(), help="The most that may be left of the cost, in (0, 1].")
@click.option("--tolerance", type=float, help="Or the drop accepted: points of a fraction, else the metric's unit.")
@cut_option
@rules_option
@click.option("--from", "start", metavar="ID|FILE", help="A plan whose locked lines stay, and those not solved for.")
@criterion_option
@click.option("--out", type=click.Path(path_type=Path), help="Also write the plan there.")
@workspace_option
@json_option
def solve(
    model: str,
    kind: Any,
    left: float | None,
    tolerance: float | None,
    granularities: str | None,
    rules_file: Path | None,
    start: str | None,
    criterion: str | None,
    out: Path | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Make the plan of MODEL that meets a goal at the least predicted drop, or at the least cost."""
    from core.jobs.known import plan_words
    from core.jobs.known.findings import saved_time_of
    from core.jobs.known.plan_book import PlanBook
    from core.plans.foreign import check_plan
    from core.plans.plan import SparsityPlan
    from core.plans.solver.rules import Rules
    from core.tuning.goal import Goal
    from core.tuning.goal import solve as solve_goal
    from core.tuning.plan_rows import row_name

    store = open_store(workspace, create=False)
    found, predictor = known(store, model)
    book = PlanBook(store.workspace)
    plan = SparsityPlan((), found.ref)
    if start is not None:
        plan = SparsityPlan.read(Path(start)) if Path(start).is_file() else book.get(found.ref, start).plan
        check_plan(plan, found)
    rules = Rules() if rules_file is None else Rules.from_json(json_of(rules_file))
    unused = rules.unused([row_name(target) for target in found.targets])
    if unused:
        rule = rules.rules[unused[0]]
        raise SecateurError(
            f"rule {unused[0] + 1}, {rule.verb} {rule.row or rule.pattern!r}, is for no row of {found.name}; "
            "`secateur targets` lists the names"
        )
    goal = Goal(kind, left, None if tolerance is None else tolerance / found.scale.factor)
    solved = solve_goal(
        goal, predictor, found, saved_time_of(store, found), plan,
        rules,
        words_of(granularities) if granularities else None, criterion,
    )  # fmt: skip
    words = plan_words.goal_text(found.scale, goal)
    kept = book.keep(found.ref, solved.plan, "solver", None, solved.prediction, words, n_plans=predictor.n_plans)
    if out is not None:
        try:
            out.write_text(solved.plan.to_json(), encoding="utf-8")
        except OSError as error:
            raise SecateurError(f"cannot write {out}: {error.strerror}") from None
    if as_json:
        print_json({"id": kept.id, **solved.to_json()})
    else:
        print_lines(plan_words.solved_lines(model, kept.id, predictor, goal, solved))
