"""How a command hands over the plan that it made: to a file, as a table, or as JSON."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli.command import say
from core.cli.failure import Failure
from core.cli.written import write_text
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.jobs.run import Run
    from core.jobs.runs import RunStore
    from core.plans.plan import SparsityPlan

out_option = click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the plan to this file, over what is there."
)


def write_plan(plan: "SparsityPlan", out: Path) -> None:
    """Write a plan as a plan file."""
    write_text(out, plan.to_json())


def hand_over(plan: "SparsityPlan", out: Path | None, as_json: bool) -> None:
    """A plan that a command was asked for: to the file `out`, and as a table; or as JSON, if that was asked for.

    Without either, and where the output goes to a file or a pipe, the plan itself goes there, as `> plan.json` had it
    before there was `--out`.
    """
    if out is not None:
        write_plan(plan, out)
    if as_json:
        click.echo(plan.to_json(), nl=False)
    elif out is None and not sys.stdout.isatty():
        if sys.stderr.isatty():  # to a person; a script that joins both streams must still find nothing but JSON
            say(
                "the plan is printed as JSON, since this is no terminal; "
                "--out FILE writes it, --json prints it anywhere"
            )
        click.echo(plan.to_json(), nl=False)
    else:
        from core.cli.tables.plans import plan_table

        plan_table(plan)
        click.echo(f"Wrote {out}." if out is not None else "--out FILE writes this plan, --json prints it.")


def check_waits(out: Path | None, detach: bool) -> None:
    """Refuse `--out` of a command that does not wait for what it would write."""
    if out is not None and detach:
        raise SecateurError("--out is written when the run is done, and --detach does not wait; leave one out")


def write_best(store: "RunStore", run: "Run", out: Path | None) -> None:
    """Write the plan that a search found, if it found one."""
    from core.jobs.known.plan_book import PlanBook

    if out is None:
        return
    best = (store.get(run.id).result or {}).get("best")
    if best is None:
        # not a SecateurError: with --json that would print a second document
        raise Failure(f"run {run.id} found no plan, and {out} was not written; `secateur show {run.id}` says why")
    write_plan(PlanBook(store.workspace).get(run.workload, best["plan"]).plan, out)
    click.echo(f"Wrote {out}.", err=True)
