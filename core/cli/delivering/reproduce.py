"""The command that makes the weights of a bundle again."""

import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from core.cli.command import command
from core.cli.failure import Failure
from core.cli.options import dense_model_option, print_json


@command("secateur reproduce out/all  # the same weights again from the dense model, plan and seed", keeps=False)
@click.argument("bundle", type=click.Path(path_type=Path))
@dense_model_option
def reproduce(bundle: Path, model: str | None, as_json: bool) -> None:
    """Make the weights of BUNDLE, a folder or its zip, again and compare them bit for bit.

    From the dense model, the plan and the seed; a model that was recovered is recovered anew, which takes as long as it
    took. Ends with 0 if every bit is the same, else with 2 and where it parts.
    """
    from core.recovery.recovery_words import parted_text, reproduced_text
    from core.recovery.reproduction.remade import reproduce as reproduced

    with redirect_stdout(sys.stderr):  # a model may print in its forward pass
        found = reproduced(bundle, model, lambda phase: click.echo(f"{phase} …", err=True))
    if as_json:
        print_json(found.to_json())
    if not found.is_same:  # not a SecateurError: with --json that would print a second document
        raise Failure(parted_text(found))
    if not as_json:
        click.echo(reproduced_text(found))
