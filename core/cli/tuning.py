"""Commands that predict plans, and find ones for a goal."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.options import device_option, json_option, print_json, samples_option, workspace_option
from core.cli.work import follow, open_store
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.jobs.runs import RunStore
    from core.plans.prediction import Predictor
    from core.workload.description import Description


@click.command()
@click.argument("model")
@click.argument("plan", type=click.Path(path_type=Path))
@workspace_option
@json_option
def predict(model: str, plan: Path, workspace: Path, as_json: bool) -> None:
    """Predict what the plan in the file PLAN costs MODEL, from sweeps and from plans that were measured."""
    from rich.console import Console

    from core import plan_wording
    from core.plans.plan import SparsityPlan

    chosen = SparsityPlan.read(plan)
    _, predictor = known(open_store(workspace, create=False), model)
    prediction = predictor.predict(chosen)
    if as_json:
        print_json({**prediction.to_json(), "n": predictor.n, "n_plans": predictor.n_plans})
        return
    console = Console(soft_wrap=True)
    for line in plan_wording.prediction_lines(predictor, prediction):
        console.print(line, highlight=False)


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


def words_of(text: str) -> tuple[str, ...]:
    """`a,b` as a tuple."""
    return tuple(text.replace(",", " ").split())


def known(store: "RunStore", model: str) -> tuple["Description", "Predictor"]:
    """The model, and what predicts its plans.

    Raises:
        SecateurError: nothing was measured of it as it is now.
    """
    from core.jobs.findings import predictor_of
    from core.workload.loading import canonical_ref

    described = store.description(canonical_ref(model))
    predictor = predictor_of(store, described[0]) if described is not None else None
    if described is None or predictor is None:
        raise SecateurError(f"no cut of {model} was measured in this workspace; `secateur sweep {model}` first")
    return described[0], predictor
