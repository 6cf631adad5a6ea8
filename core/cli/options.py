"""Options that several commands share, and how they print."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from core.workspace import DEFAULT_WORKSPACE

F = TypeVar("F", bound=Callable[..., Any])


def workspace_option(function: F) -> F:
    """`--workspace FOLDER`, by default `.secateur` or the environment's SECATEUR_WORKSPACE."""
    return click.option(
        "--workspace",
        type=click.Path(path_type=Path),
        default=DEFAULT_WORKSPACE,
        envvar="SECATEUR_WORKSPACE",
        show_default=True,
        help="Folder that keeps what was measured.",
    )(function)


def json_option(function: F) -> F:
    """`--json`: one JSON document on standard output and nothing else."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")(function)


def print_json(document: Any) -> None:
    """The one document of a command called with `--json`."""
    click.echo(json.dumps(document, indent=2))


class SamplesType(click.ParamType[Any]):
    """A whole number of at least 2, or `all`."""

    name = "N|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Click's hook."""
        if value in (None, "all") or isinstance(value, int):
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"expected a whole number of examples or 'all', got {value!r}", param, ctx)


class FractionType(click.ParamType[Any]):
    """A number; one with a percent sign is told what to do."""

    name = "fraction"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Click's hook."""
        try:
            return float(value)
        except ValueError:
            self.fail(f"expected a fraction such as 0.5, got {value!r}; given a percentage? divide by 100", param, ctx)


def samples_option(default: str | None, text: str) -> Callable[[F], F]:
    """`--samples N|all`."""
    return click.option("--samples", type=SamplesType(), default=default, help=text)


def form_option(what: str) -> Callable[[F], F]:
    """`--form masked|shrunk`; `what` says what the two mean here."""
    return click.option(
        "--form", type=click.Choice(["masked", "shrunk"]), default="masked", show_default=True, help=what
    )


def effort_options(what: str) -> Callable[[F], F]:
    """`--seed`, `--replay`, `--threads`, `--memory` and `--detach` of commands that measure many of `what`."""
    options = (
        click.option(
            "--seed", type=int, default=0, show_default=True, help="Of the order in which examples are drawn."
        ),
        click.option(
            "--replay/--no-replay",
            default=True,
            show_default=True,
            help=f"Compute of a {what} only what it changes; same bits.",
        ),
        click.option("--threads", type=int, help=f"{what.capitalize()}s measured at a time; by default one per core."),
        click.option(
            "--memory",
            type=float,
            metavar="GB",
            help="Dense values kept at most; by default a quarter of what is free.",
        ),
        click.option("--detach", is_flag=True, help="Start it and return at once."),
    )

    def add(function: F) -> F:
        for option in reversed(options):  # the first is listed first
            function = option(function)
        return function

    return add


device_option = click.option(
    "--device", default="cpu", show_default=True, help="Where the model runs, e.g. cpu or cuda."
)
