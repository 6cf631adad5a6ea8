"""The command that makes the plan for a goal, by what was measured already."""

from pathlib import Path
from typing import Any

import click

from core.cli.command import command
from core.cli.opening import open_store
from core.cli.options import print_json
from core.cli.tolerance import within_option
from core.cli.tuning.goals import (
    at_most_option,
    batch_option,
    cache_option,
    check_engine,
    check_steps,
    cost_option,
    costs_in,
    costs_option,
    counted,
    criterion_option,
    cut_option,
    engine_option,
    even_option,
    json_of,
    known,
    left_or_option,
    print_lines,
    repaired_option,
    rules_option,
    share_of,
    steps_option,
    tell_missing,
)
from core.cli.tuning.writing import out_option, write_plan
from core.errors import SecateurError


@command(
    "secateur solve fashion-vit --left 0.3  # the least predicted drop with 30 % of the weights left",
    "secateur solve fashion-vit --within 1 --cost flops --out plan.json",
    "secateur solve fashion-resnet --cost memory --at-most 600kB --batch 4  # what a forward pass may hold at once",
    "secateur solve fashion-vit --left 0.6 --cost parameters --even  # the same number from every layer of a kind",
)
@click.argument("model")
@cost_option
@left_or_option
@at_most_option
@batch_option
@cache_option
@engine_option
@costs_option
@steps_option
@within_option("Or the drop that is accepted")
@cut_option
@rules_option
@even_option
@click.option("--from", "start", metavar="ID|FILE", help="A plan whose locked lines stay, and those not solved for.")
@criterion_option
@repaired_option
@click.option(
    "--guard", "guards", multiple=True, metavar="COLUMN=POINTS",
    help="Nor may any group of this column lose more than that: refused here, for predictions know no groups; "
    "`minimise` and `refine` measure.",
)  # fmt: skip
@out_option
def solve(
    model: str,
    kind: Any,
    engine: str | None,
    costs_file: Path | None,
    align: Any,
    left: float | None,
    at_most: int | None,
    batch: int,
    cache: int | None,
    within: float | None,
    granularities: tuple[str, ...] | None,
    rules_file: Path | None,
    even: bool,
    start: str | None,
    criterion: str | None,
    repair: str | None,
    guards: tuple[str, ...],
    out: Path | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Make the plan of MODEL that meets a goal at the least predicted drop, or at the least cost.

    Predictions know no groups of the examples: bounds for classes, say, are kept by measuring, with `minimise --guard`
    and `refine --guard`.
    """
    check_engine(engine, kind)
    costs = costs_in(costs_file, engine, kind)
    if guards:
        instead = f"minimise {model} --within {within or 1:g}" if left is None else f"refine {model} --left {left:g}"
        instead += (f" --cost {kind}" if kind != "nonzeros" else "") + (f" --engine {engine}" if engine else "")
        raise SecateurError(
            "solve uses predictions, which know no groups, so it cannot keep a guard; measure plans instead: "
            f"`secateur {instead} {' '.join(f'--guard {text}' for text in guards)}`"
        )
    from core.jobs.known import plan_words
    from core.jobs.known.findings import ends_of, saved_time_of, stairs_of
    from core.jobs.known.plan_book import PlanBook
    from core.plans.costs.device_table import device_of
    from core.plans.foreign import check_plan
    from core.plans.plan import SparsityPlan
    from core.plans.solver.rules import Rules
    from core.tuning.goal import Goal
    from core.tuning.goal import solve as solve_goal
    from core.tuning.plan_rows import row_name

    store = open_store(workspace, create=False)
    found, predictor = known(store, model, repair)
    check_steps(align, granularities, kind, predictor)
    found = counted(store, model, found, kind, batch, cache)
    if within is not None and at_most is not None:
        raise SecateurError("--within and --at-most are two goals; give one of them")
    left = share_of(left, at_most, kind, found, without=True)
    tell_missing(costs, found)
    book = PlanBook(store.workspace)
    plan = SparsityPlan((), found.ref, repair)
    if start is not None:
        plan = SparsityPlan.read(Path(start)) if Path(start).is_file() else book.get(found.ref, start).plan
        check_plan(plan, found)
        if plan.repair != repair:
            own = f"--repair {plan.repair}" if plan.repair else "no --repair"
            raise SecateurError(f"the plan {start} asks for {own}; solve with the same, or start from another plan")
    rules = Rules() if rules_file is None else Rules.from_json(json_of(rules_file))
    unused = rules.unused([row_name(target) for target in found.targets])
    if unused:
        rule = rules.rules[unused[0]]
        raise SecateurError(
            f"rule {unused[0] + 1}, {rule.verb} {rule.row or rule.pattern!r}, is for no row of {found.name}; "
            "`secateur targets` lists the names"
        )
    rules = rules.evened() if even else rules
    accepted = None if within is None else within / found.scale.factor
    goal = Goal(kind, left, accepted, engine or device_of(costs), at_most)
    solved = solve_goal(
        goal, predictor, found, saved_time_of(store, found, engine, costs), plan,
        rules, granularities, criterion, ends=ends_of(store, found, align, engine, costs)[0],
    )  # fmt: skip
    words = plan_words.goal_text(found.scale, goal)
    kept = book.keep(found.ref, solved.plan, "solver", None, solved.prediction, words, n_plans=predictor.n_plans)
    if out is not None:
        write_plan(solved.plan, out)
    if as_json:
        print_json({"id": kept.id, **solved.to_json()})
    else:
        print_lines(plan_words.solved_lines(model, kept.id, predictor, goal, solved))
        if engine is not None:
            print_lines([plan_words.where_text(stairs_of(store, found)[engine].where())])
