"""The command that measures a plan."""

from pathlib import Path

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.opening import check_own, open_store
from core.cli.options import check_log, detach_option, device_option, form_option, log_option, samples_option


@command(
    "secateur apply fashion-vit plan.json",
    "secateur apply fashion-vit plan.json --form shrunk  # also make the smaller model, and measure it",
)
@click.argument("model")
@click.argument("plan", type=click.Path(path_type=Path))
@samples_option("all", "to use")
@form_option("masked: zeros in place. shrunk: also make the smaller model, compare the two, and measure it.")
@device_option
@log_option
@detach_option
def apply(
    model: str,
    plan: Path,
    samples: object,
    form: str,
    device: str,
    log: str | None,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Measure what the plan in the file PLAN costs MODEL, and keep it (`secateur plans`)."""
    from core.jobs.launch import start_measure
    from core.plans.plan import SparsityPlan

    check_log(log, detach)
    chosen = SparsityPlan.read(plan)
    store = open_store(workspace)
    check_own(store, model, chosen)
    run = start_measure(store, model, chosen, samples, device, form, made_by="file")  # type: ignore[arg-type]
    follow(store, *run, detach, as_json, log)
