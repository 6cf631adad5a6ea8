"""Options of one training, of the commands that train."""

from collections.abc import Callable

import click

from core.cli.options import F, refuse_idle, typed


def epochs_option(of: str) -> Callable[[F], F]:
    """`--epochs N` of each of `of`."""
    return click.option("--epochs", type=float, default=1.0, show_default=True, help=f"Of each {of}; 0 trains nothing.")


def steps_option(of: str) -> Callable[[F], F]:
    """`--steps N` of each of `of`."""
    return click.option("--steps", type=int, help=f"Optimiser steps of each {of}, instead of --epochs.")


def check_length() -> None:
    """Refuse two answers to how long a training is."""
    if len(typed("epochs", "steps")) > 1:
        refuse_idle("--steps says how long a training is; leave one of them out", "epochs")


optimiser_option = click.option("--optimiser", default="adamw", show_default=True, help="adamw or sgd.")
rate_option = click.option("--rate", type=float, default=1e-3, show_default=True, help="Highest learning rate.")
batch_size_option = click.option(
    "--batch-size", type=int, default=128, show_default=True, help="Training examples of one step."
)
