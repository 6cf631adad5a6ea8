"""Commands that look for a plan by measuring plans: the cheapest within a tolerance, the best around a budget."""

from pathlib import Path
from typing import Any

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.opening import open_store
from core.cli.options import detach_option, device_option, samples_option
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
    guard_option,
    json_of,
    known,
    left_or_option,
    repaired_option,
    rules_option,
    share_of,
    steps_option,
    tell_missing,
)
from core.cli.tuning.writing import check_waits, out_option, write_best


@command(
    "secateur minimise fashion-vit --within 1 --cost latency  # the cheapest whose measured drop is within a point",
    "secateur minimise fashion-vit --within 1 --guard class=3  # and no class loses more than three points",
)
@click.argument("model")
@within_option("The largest drop", required=True)
@guard_option
@cost_option
@batch_option
@cache_option
@engine_option
@costs_option
@steps_option
@cut_option
@even_option
@samples_option("all", "that the answer is about")
@click.option("--plans", "max_plans", type=int, default=10, show_default=True, help="How many to measure at most.")
@criterion_option
@repaired_option
@device_option
@out_option
@detach_option
def minimise(
    model: str,
    within: float,
    guards: dict[str, float],
    kind: Any,
    batch: int,
    cache: int | None,
    engine: str | None,
    costs_file: Path | None,
    align: Any,
    granularities: tuple[str, ...] | None,
    even: bool,
    samples: Any,
    max_plans: int,
    criterion: str | None,
    repair: str | None,
    device: str,
    out: Path | None,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Find the cheapest plan of MODEL whose measured drop is within a tolerance: solve, measure, correct, again."""
    from core.jobs.known.findings import ends_of, saved_time_of
    from core.jobs.launch import start_minimise
    from core.tuning.request import MinimiseRequest

    check_waits(out, detach)
    check_engine(engine, kind)
    costs = costs_in(costs_file, engine, kind)
    store = open_store(workspace, create=False)
    found, predictor = known(store, model, repair)
    check_steps(align, granularities, kind, predictor)
    counted(store, model, found, kind, batch, cache)
    tell_missing(costs, found)
    ends_of(store, found, align, engine, costs)
    saved_time_of(store, found, engine, costs)  # refused here, not in the worker
    accepted = within / found.scale.factor
    limits = {column: points / found.scale.factor for column, points in guards.items()}
    request = MinimiseRequest(
        model, accepted, kind, granularities, samples, device, max_plans, criterion, even, limits, repair,
        batch, cache, engine, align, tuple(costs),
    )  # fmt: skip
    run, is_new = start_minimise(store, request)
    follow(store, run, is_new, detach, as_json)
    write_best(store, run, out)


@command("secateur refine fashion-vit --left 0.3  # solved, then shifted to where measuring says it hurts less")
@click.argument("model")
@left_or_option
@at_most_option
@guard_option
@cost_option
@batch_option
@cache_option
@engine_option
@costs_option
@steps_option
@cut_option
@rules_option
@even_option
@samples_option(None, "to measure around the plan on; the result is measured on all")
@click.option(
    "--rounds", type=int, default=4, show_default=True, help="How many; each measures two plans for every row."
)
@criterion_option
@repaired_option
@device_option
@out_option
@detach_option
def refine(
    model: str,
    left: float | None,
    at_most: int | None,
    guards: dict[str, float],
    kind: Any,
    batch: int,
    cache: int | None,
    engine: str | None,
    costs_file: Path | None,
    align: Any,
    granularities: tuple[str, ...] | None,
    rules_file: Path | None,
    even: bool,
    samples: Any,
    rounds: int,
    criterion: str | None,
    repair: str | None,
    device: str,
    out: Path | None,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Solve for a budget, measure a little more and less of every cut around that plan, and solve again: in rounds."""
    from core.jobs.known.findings import ends_of, saved_time_of
    from core.jobs.launch import start_refine
    from core.plans.solver.rules import Rules
    from core.tuning.request import RefineRequest

    check_waits(out, detach)
    check_engine(engine, kind)
    costs = costs_in(costs_file, engine, kind)
    store = open_store(workspace, create=False)
    found, predictor = known(store, model, repair)
    check_steps(align, granularities, kind, predictor)
    share = share_of(left, at_most, kind, counted(store, model, found, kind, batch, cache))
    tell_missing(costs, found)
    ends_of(store, found, align, engine, costs)
    saved_time_of(store, found, engine, costs)  # refused here, not in the worker
    limits = {column: points / found.scale.factor for column, points in guards.items()}
    rules = () if rules_file is None else json_of(rules_file)
    rules = tuple(Rules.from_json(list(rules)).evened().to_json()) if even else rules
    request = RefineRequest(
        model, share or 0.0, kind, granularities, samples, rounds, device, criterion, rules, limits, repair,
        batch, cache, engine, align, tuple(costs),
    )  # fmt: skip
    run, is_new = start_refine(store, request)
    follow(store, run, is_new, detach, as_json)
    write_best(store, run, out)
