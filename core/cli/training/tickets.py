"""The command that looks for lottery tickets."""

from pathlib import Path
from typing import Any

import click

from core.cli.following import follow, open_store
from core.cli.options import FractionType, device_option, json_option, samples_option, workspace_option
from core.cli.training.recover import in_metric_unit


@click.command()
@click.argument("model")
@click.option("--rounds", type=int, default=10, show_default=True, help="How often is pruned.")
@click.option("--per-round", type=FractionType(), default=0.2, show_default=True, help="Share of the rest that goes.")
@click.option("--scope", default="global", show_default=True, help="global or layer.")
@click.option("--rewind-step", type=int, default=0, show_default=True, help="Rewind to here; 0: initial weights.")
@click.option("--seeds", type=int, default=5, show_default=True, help="How many, at least 2.")
@click.option("--epochs", type=float, default=1.0, show_default=True, help="Of each training.")
@click.option("--steps", type=int, help="Optimiser steps of each training, instead of --epochs.")
@click.option("--optimiser", default="adamw", show_default=True, help="adamw or sgd.")
@click.option("--rate", type=float, default=1e-3, show_default=True, help="Highest learning rate.")
@click.option("--batch-size", type=int, default=128, show_default=True)
@click.option(
    "--tolerance", type=float, default=0.0, show_default=True, help="What still counts as not worse, in points."
)
@samples_option("all", "Evaluation examples after each training.  [default: all]")
@device_option
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@workspace_option
@json_option
def tickets(
    model: str,
    rounds: int,
    per_round: float,
    scope: Any,
    rewind_step: int,
    seeds: int,
    tolerance: float,
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

    settings = FineTuning(distillation=0.0, **fine_tuning)
    store = open_store(workspace)
    accepted = in_metric_unit(store, model, tolerance) if tolerance else 0.0
    request = TicketRequest(
        model, rounds, per_round, scope, rewind_step, tuple(range(seeds)), settings, samples, device, accepted
    )
    follow(store, *start_tickets(store, request), detach, as_json)
