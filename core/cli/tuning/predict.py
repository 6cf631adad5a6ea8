"""The command that predicts a plan, and the one that measures what predictions learn from."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.opening import open_store
from core.cli.options import ListType, detach_option, device_option, print_json, samples_option
from core.cli.tuning.goals import (
    batch_option,
    cache_option,
    costs_in,
    costs_option,
    counted,
    engine_option,
    known,
    print_lines,
    repaired_option,
    tell_missing,
)


@command("secateur predict fashion-vit plan.json  # with an interval, from what the sweep measured")
@click.argument("model")
@click.argument("plan", type=click.Path(path_type=Path))
@engine_option
@costs_option
@batch_option
@cache_option
def predict(
    model: str,
    plan: Path,
    engine: str | None,
    costs_file: Path | None,
    batch: int,
    cache: int | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Predict what the plan in the file PLAN costs MODEL, from sweeps and from plans that were measured.

    With --engine or --costs also the milliseconds of the smaller model, from staircases or from a device's table; with
    what a forward pass then holds in memory at once, where that was counted (`profile`, or --cost memory) or is asked
    for.
    """
    from core.jobs.known import plan_words
    from core.jobs.known.findings import saved_time_of, stairs_of
    from core.plans.costs.device_table import device_of
    from core.plans.costs.left import plan_cost
    from core.plans.foreign import check_plan
    from core.plans.plan import SparsityPlan

    chosen = SparsityPlan.read(plan)
    store = open_store(workspace, create=False)
    costs = costs_in(costs_file, engine, "milliseconds")
    found, predictor = known(store, model, chosen.repair)
    check_plan(chosen, found)
    tell_missing(costs, found)
    if (batch, cache) != (1, None):
        found = counted(store, model, found, "memory", batch, cache)
    held = plan_cost(chosen, found, "memory") if found.memory and found.memory.held else None
    cost = None
    if engine is not None or costs:
        saved = saved_time_of(store, found, engine, costs)
        cost = plan_cost(chosen, found, "milliseconds", saved)
    prediction = predictor.predict(chosen)
    if as_json:
        timed = {} if cost is None else {"cost": asdict(cost), "on": engine or device_of(costs)}
        memory = {"memory": asdict(held)} if held else {}
        print_json({**prediction.to_json(), "n": predictor.n, "n_plans": predictor.n_plans, **timed, **memory})
        return
    lines = plan_words.prediction_lines(predictor, prediction)
    if cost is not None:
        where = stairs_of(store, found)[engine].where() if engine is not None else None
        lines = [*lines, *plan_words.time_lines(cost, engine or device_of(costs) or "", where)]
    print_lines([*lines, plan_words.memory_text(found, held)] if held else lines)


@command("secateur anchors fashion-vit  # six whole plans of what was swept, on examples that the sweep did not see")
@click.argument("model")
@click.option("--plans", "n", type=int, default=6, show_default=True, help="How many of each kind of cut.")
@click.option(
    "--granularities",
    type=ListType(str, "weight,head"),
    metavar="G,G,…",
    help="What may be cut: weight, channel, head, kv_group, block.  [default: what was swept]",
)
@samples_option(None, "to use")
@repaired_option
@device_option
@detach_option
def anchors(
    model: str,
    n: int,
    granularities: tuple[str, ...] | None,
    samples: Any,
    repair: str | None,
    device: str,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Measure a few whole plans of MODEL, mild to ruinous: from them predictions learn how cuts interact."""
    from core.jobs.launch import start_anchors
    from core.tuning.request import AnchorsRequest

    request = AnchorsRequest(model, granularities, n, samples, device, repair)
    store = open_store(workspace, create=False)
    follow(store, *start_anchors(store, request), detach, as_json)
