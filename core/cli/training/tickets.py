"""The command that looks for lottery tickets."""

from pathlib import Path
from typing import Any

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.opening import open_store
from core.cli.options import FractionType, detach_option, device_option, samples_option
from core.cli.tolerance import in_metric_unit, within_option
from core.cli.training.training_options import (
    batch_size_option,
    check_length,
    epochs_option,
    optimiser_option,
    rate_option,
    steps_option,
)


@command("secateur tickets my_workload.py --seeds 5  # winning tickets, against re-initialised and random masks")
@click.argument("model")
@click.option("--rounds", type=int, default=10, show_default=True, help="How many; each prunes once.")
@click.option("--per-round", type=FractionType(), default=0.2, show_default=True, help="Share of the rest that goes.")
@click.option("--scope", default="global", show_default=True, help="global or layer.")
@click.option("--rewind-step", type=int, default=0, show_default=True, help="Rewind to here; 0: initial weights.")
@click.option("--seeds", type=int, default=5, show_default=True, help="How many, at least 2.")
@epochs_option("training")
@steps_option("training")
@optimiser_option
@rate_option
@batch_size_option
@within_option("The drop that still counts as not worse", default=0.0, show_default=True)
@samples_option("all", "after each training")
@device_option
@detach_option
def tickets(
    model: str,
    rounds: int,
    per_round: float,
    scope: Any,
    rewind_step: int,
    seeds: int,
    within: float,
    samples: Any,
    device: str,
    detach: bool,
    workspace: Path,
    as_json: bool,
    **fine_tuning: Any,
) -> None:
    """Look for lottery tickets of MODEL: train from initial weights, prune, rewind, train; against two controls."""
    from core.jobs.launch import start_tickets
    from core.recovery.settings import FineTuning
    from core.recovery.tickets.request import TicketRequest

    check_length()
    settings = FineTuning(distillation=0.0, **fine_tuning)
    store = open_store(workspace)
    accepted = in_metric_unit(store, model, within) if within else 0.0
    request = TicketRequest(
        model, rounds, per_round, scope, rewind_step, tuple(range(seeds)), settings, samples, device, accepted
    )
    follow(store, *start_tickets(store, request), detach, as_json)
