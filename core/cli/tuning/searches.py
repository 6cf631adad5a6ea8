"""Commands that look for a plan by measuring plans: the cheapest within a tolerance, the best around a budget."""

from pathlib import Path
from typing import Any

import click

from core.cli.following import follow, open_store
from core.cli.options import FractionType, device_option, json_option, samples_option, workspace_option
from core.cli.tuning.goal_options import (
    cost_option,
    criterion_option,
    cut_option,
    json_of,
    known,
    rules_option,
    words_of,
)


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
    rules = () if rules_file is None else json_of(rules_file)
    request = RefineRequest(model, left, kind, wanted, samples, rounds, device, criterion, rules)
    follow(store, *start_refine(store, request), detach, as_json)
