"""Commands that predict plans, and find ones for a goal."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.measuring.work import follow, open_store
from core.cli.options import (
    FractionType,
    device_option,
    json_option,
    print_json,
    samples_option,
    workspace_option,
)
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.jobs.runs import RunStore
    from core.plans.prediction import Predictor
    from core.workload.description import Description

KIND_NAMES = ("nonzeros", "parameters", "flops", "bytes", "milliseconds", "latency")


def _kind(ctx: click.Context, param: click.Parameter, value: str) -> str:
    return "milliseconds" if value == "latency" else value


cost_option = click.option(
    "--cost", "kind", type=click.Choice(KIND_NAMES), default="nonzeros", show_default=True, callback=_kind,
    help="What is to be little. latency and milliseconds are one: times that a profile measured.",
)  # fmt: skip
cut_option = click.option(
    "--granularities",
    metavar="G,G,…",
    help="What may be cut: weight, channel, head, kv_group, block. Default: what the cost is made of.",
)
rules_option = click.option(
    "--rules", "rules_file", type=click.Path(path_type=Path),
    help='JSON list: [{"verb": "never", "row": "fc"}, {"verb": "bounds", "pattern": "stage1", "most": 0.5}]; '
    "verbs are lock, never, bounds, tied.",
)  # fmt: skip
criterion_option = click.option("--criterion", help="Of the cuts, where several were swept.")


@click.command()
@click.argument("model")
@click.argument("plan", type=click.Path(path_type=Path))
@workspace_option
@json_option
def predict(model: str, plan: Path, workspace: Path, as_json: bool) -> None:
    """Predict what the plan in the file PLAN costs MODEL, from sweeps and from plans that were measured."""
    from core.jobs.known import plan_words
    from core.plans.foreign import check_plan
    from core.plans.plan import SparsityPlan

    chosen = SparsityPlan.read(plan)
    found, predictor = known(open_store(workspace, create=False), model)
    check_plan(chosen, found)
    prediction = predictor.predict(chosen)
    if as_json:
        print_json({**prediction.to_json(), "n": predictor.n, "n_plans": predictor.n_plans})
        return
    _print(plan_words.prediction_lines(predictor, prediction))


@click.command()
@click.argument("model")
@click.option("--plans", "n", type=int, default=6, show_default=True, help="How many plans to measure.")
@click.option(
    "--granularities",
    default="weight",
    show_default=True,
    metavar="G,G,…",
    help="Of what they cut: weight, channel, head, kv_group, block.",
)
@samples_option(None, "Evaluation examples to use; by default what the workload says.")
@device_option
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@workspace_option
@json_option
def anchors(
    model: str, n: int, granularities: str, samples: Any, device: str, detach: bool, workspace: Path, as_json: bool
) -> None:
    """Measure a few whole plans of MODEL, mild to ruinous: from them predictions learn how cuts interact."""
    from core.jobs.launch import start_anchors
    from core.tuning.request import AnchorsRequest

    request = AnchorsRequest(model, words_of(granularities), n, samples, device)
    store = open_store(workspace, create=False)
    follow(store, *start_anchors(store, request), detach, as_json)


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
    rules = Rules() if rules_file is None else Rules.from_json(_json_of(rules_file))
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
        _print(plan_words.solved_lines(model, kept.id, predictor, goal, solved))


@click.command()
@click.argument("model")
@click.option(
    "--tolerance",
    type=float,
    required=True,
    help="The largest drop: points of a fraction (1 is one point), else the metric's unit.",
)
@cost_option
@cut_option
@samples_option("all", "Evaluation examples that the answer is about.  [default: all]")
@click.option("--plans", "max_plans", type=int, default=10, show_default=True, help="Plans to measure at most.")
@criterion_option
@device_option
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@workspace_option
@json_option
def minimise(
    model: str,
    tolerance: float,
    kind: Any,
    granularities: str | None,
    samples: Any,
    max_plans: int,
    criterion: str | None,
    device: str,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Find the cheapest plan of MODEL whose measured drop is within a tolerance: solve, measure, correct, again."""
    from core.jobs.launch import start_minimise
    from core.tuning.request import MinimiseRequest

    store = open_store(workspace, create=False)
    found, _ = known(store, model)
    wanted = words_of(granularities) if granularities else None
    accepted = tolerance / found.scale.factor
    request = MinimiseRequest(model, accepted, kind, wanted, samples, device, max_plans, criterion)
    follow(store, *start_minimise(store, request), detach, as_json)


@click.command()
@click.argument("model")
@click.option("--left", type=FractionType(), required=True, help="The most that may be left of the cost, in (0, 1].")
@cost_option
@cut_option
@rules_option
@samples_option(None, "Evaluation examples to measure around the plan on; by default as a sweep. The result: on all.")
@click.option("--rounds", type=int, default=4, show_default=True, help="Each measures two plans for every row.")
@criterion_option
@device_option
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@workspace_option
@json_option
def refine(
    model: str,
    left: float,
    kind: Any,
    granularities: str | None,
    rules_file: Path | None,
    samples: Any,
    rounds: int,
    criterion: str | None,
    device: str,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Solve for a budget, measure a little more and less of every cut around that plan, and solve again: in rounds."""
    from core.jobs.launch import start_refine
    from core.tuning.request import RefineRequest

    store = open_store(workspace, create=False)
    known(store, model)
    wanted = words_of(granularities) if granularities else None
    rules = () if rules_file is None else _json_of(rules_file)
    request = RefineRequest(model, left, kind, wanted, samples, rounds, device, criterion, rules)
    follow(store, *start_refine(store, request), detach, as_json)


def _print(lines: list[str]) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True)
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SecateurError(f"cannot read the rules {path}: {error}") from None


def words_of(text: str) -> tuple[str, ...]:
    """`a,b` as a tuple."""
    return tuple(text.replace(",", " ").split())


def known(store: "RunStore", model: str) -> tuple["Description", "Predictor"]:
    """The model, and what predicts its plans.

    Raises:
        SecateurError: nothing was measured of it as it is now.
    """
    from core.jobs.known.findings import predictor_of
    from core.workload.loading import canonical_ref

    described = store.description(canonical_ref(model))
    predictor = predictor_of(store, described[0]) if described is not None else None
    if described is None or predictor is None:
        raise SecateurError(f"no cut of {model} was measured in this workspace; `secateur sweep {model}` first")
    return described[0], predictor
