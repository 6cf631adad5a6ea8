"""The command that lets one more process measure what the runs of a workspace ask for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.command import command
from core.cli.failure import terminated_as_interrupted
from core.cli.opening import open_store
from core.cli.options import print_json, refuse_idle

if TYPE_CHECKING:
    from core.jobs.places.workers import Helper


class AtOnceType(click.ParamType[Any]):
    """A whole number, or `auto`, which is `None`."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Click's hook."""
        return None if value == "auto" else click.IntRange(1, 1024).convert(value, param, ctx)


@command(
    "secateur work  # in a terminal of its own, beside a sweep in another: until Ctrl-C",
    "secateur work --at-once auto  # one copy of the model for all cores to spare",
    "secateur work --once",
    "secateur work --list",
    "secateur work --stop 2",
)
@click.option(
    "--at-once",
    "threads",
    type=AtOnceType(),
    default=1,
    show_default=True,
    help="Cells measured at a time; auto: as many as give most a second, tried on each run, of the cores to spare.",
)
@click.option("--once", is_flag=True, help="End when the first run that was helped has ended.")
@click.option("--list", "as_list", is_flag=True, help="List the workers of the workspace and what they do.")
@click.option("--stop", "number", type=int, metavar="N", help="Let this worker end after what it has under way.")
def work(threads: int | None, once: bool, as_list: bool, number: int | None, workspace: Path, as_json: bool) -> None:
    """Help the runs of the workspace: measure a part of their cells in one more process on this machine.

    A worker waits for a sweep, pairs, bits or undo, loads its model once, and measures bundles of about a second. The
    answer of the run is the same, bit for bit. One that dies costs what it had under way, which is measured again.
    """
    from core.jobs.places import workers

    if as_list or number is not None:
        refuse_idle("it starts no worker", "threads", "once", *(["number"] if as_list else []))
        store = open_store(workspace, create=False)
        found = workers.helpers(store.workspace) if number is None else workers.ask_to_stop(store.workspace, number)
        _show(found, as_json, asked=number is not None)
        return
    from core.jobs.places.helping import help_out
    from core.workspace import Workspace

    here = Workspace(workspace, patient=True)
    here.check_writable()
    tell = (lambda line: click.echo(line, err=True)) if as_json else click.echo
    done = 0
    try:
        with terminated_as_interrupted():
            done = help_out(here, threads, tell, once)
    except KeyboardInterrupt:
        click.echo("The worker has left; what it had under way is measured by others.", err=True)
        return
    if as_json:
        print_json({"bundles": done})
    else:
        click.echo(f"The worker has left; it has measured {done:,} bundles.")


def _show(found: "tuple[Helper, ...]", as_json: bool, asked: bool) -> None:
    if as_json:
        print_json([one.to_json() for one in found])
        return
    if not found:
        click.echo("No worker helps here; `secateur work` starts one.")
    for one in found:
        what = "ends after what it has under way" if asked else one.text
        click.echo(f"Worker {one.id} (process {one.pid}, {one.threads} at a time): {what}")
