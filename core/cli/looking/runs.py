"""The command that lists runs, gives them names, stars and notes."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from core.cli.command import command
from core.cli.opening import open_store
from core.cli.options import last_option, print_json
from core.jobs.run import UNLISTED, Kind

if TYPE_CHECKING:
    from core.jobs.run import Run


@command(
    "secateur runs",
    "secateur runs --rename 3f2a before --note 3f2a 'first checkpoint' --star 3f2a  # a name can stand for the id",
    "secateur runs --starred --kind sweep --model fashion-vit",
)
@click.option(
    "--rename", nargs=2, multiple=True, metavar="RUN NAME", help="Give a run a name; an empty one takes it away."
)
@click.option(
    "--note", nargs=2, multiple=True, metavar="RUN TEXT", help="Write a note beside a run; an empty one takes it away."
)
@click.option("--star", multiple=True, metavar="RUN", help="Mark a run to find it again.")
@click.option("--unstar", multiple=True, metavar="RUN", help="Take its mark away.")
@click.option("--starred", is_flag=True, help="Only runs with a star.")
@click.option(
    "--kind", type=click.Choice([kind for kind in get_args(Kind) if kind not in UNLISTED]), help="Only these."
)
@click.option("--model", help="Only runs of this model.")
@click.option("--find", metavar="TEXT", help="Only runs whose name or note holds this, in capitals or not.")
@last_option
def runs(
    rename: tuple[tuple[str, str], ...],
    note: tuple[tuple[str, str], ...],
    star: tuple[str, ...],
    unstar: tuple[str, ...],
    starred: bool,
    kind: Kind | None,
    model: str | None,
    find: str | None,
    last: int | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """List the runs of the workspace, newest first, and which place those have that wait in the queue.

    RUN is a run's id, the beginning of it, or its name. With --rename, --note, --star or --unstar, only what changed is
    told; where one of them is refused, nothing changes.
    """
    from core.jobs import queue
    from core.jobs.labels import Label, label_runs
    from core.jobs.places import workers
    from core.jobs.run_words import run_label

    store = open_store(workspace, create=False)
    asked = [
        *(Label(which, note=text) for which, text in note),
        *(Label(which, star=True) for which in star),
        *(Label(which, star=False) for which in unstar),
        *(Label(which, name=name) for which, name in rename),
    ]
    if asked:
        latest = label_runs(store, asked)
        if as_json:
            print_json([run.to_json() for run in latest])
            return
        for run in latest:
            click.echo(f"Run {run.id}: {run_label(run)}" + (f"\n  {run.note}" if run.note else ""))
        return
    if model is not None:
        from core.workload.loading import canonical_ref

        model = canonical_ref(model)
    found = [run for run in store.list(kind, model) if run.kind not in UNLISTED and _is_wanted(run, starred, find)]
    n, found = len(found), found[:last]
    waiting = queue.waiting(store)
    at_work = any(run.state == "running" for run in found)
    helping = Counter(one.run for one in (workers.helpers(store.workspace) if at_work else ()) if one.run is not None)
    if as_json:
        told = [(run, queue.place_of(run.id, waiting), helping[run.id]) for run in found]
        print_json([{**run.to_json(), "place": place, "workers": n} for run, place, n in told])
        return
    from core.cli.tables.runs import runs_table

    runs_table(found, waiting, is_all=not (starred or kind or model or find), helping=helping)
    if len(found) < n:
        click.echo(f"The last {len(found):,} of {n:,} runs.")


def _is_wanted(run: "Run", starred: bool, find: str | None) -> bool:
    told = f"{run.name or ''}\n{run.note or ''}".casefold()
    return (run.star or not starred) and (find is None or find.casefold() in told)
