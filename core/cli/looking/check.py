"""The command that tries a model before long work, or examines the workspace."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli.command import command
from core.cli.failure import Failure
from core.cli.options import print_json
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.jobs.checking.examined import Examined
    from core.sensitivity.checking.checkup import Complaint

MOST_TOLD = 20  # --json has all
NAMES = {
    "runs": ("run",), "cells": ("cell",), "workloads": ("model",), "plans": ("plan",), "predictions": ("prediction",),
    "drafts": ("plan being made", "plans being made"), "draft_steps": ("step of one", "steps of these"),
    "rules": ("set of rules", "sets of rules"), "evidence": ("measurement",),
    "losses": ("row of losses", "rows of losses"), "batches": ("batch", "batches"),
}  # fmt: skip


@command(
    "secateur check my_workload.py  # seconds: what would go wrong, and what a sweep will take",
    "secateur check hf:./folder --data test.csv",
    "secateur check  # the workspace: what of it is damaged, and what must be measured again",
    "secateur check --mend  # sets what is damaged aside, in its folder quarantine/",
    "secateur check --compact  # the same rows in fewer bytes",
)
@click.argument("model", required=False)
@click.option("--mend", is_flag=True, help="Of the workspace: move what is damaged into its folder quarantine/.")
@click.option("--compact", is_flag=True, help="Of the workspace: write its database anew without gaps, if it is sound.")
def check(model: str | None, mend: bool, compact: bool, workspace: Path, as_json: bool) -> None:
    """Try MODEL for some seconds before long work; without MODEL examine the workspace: what is damaged?

    Of MODEL: what it gives twice, what can be cut, what a sweep will take. Each finding is told as it is made; the last
    line says whether to go on. Ends with 2 where nothing can be measured; what else there is to look at is only told.

    Of the workspace: its database, every row of it by its digest or by what it must be, bundles, rounds and trainings
    by their hashes, and logs. Nothing is changed without --mend, and with it nothing is deleted. Ends with 2 where
    something is damaged and was not set aside. --compact changes no row, and no figure; it is refused
    while a run is at work. Close dashboards for it: who writes meanwhile is refused after ten seconds.
    """
    if model is None:
        _check_workspace(workspace, mend, compact, as_json)
        return
    if compact:
        raise SecateurError("--compact writes the workspace's database anew; leave the model out")
    if mend:
        raise SecateurError("--mend sets aside what is damaged in the workspace; leave the model out")
    _check_model(model, as_json)


def _check_model(model: str, as_json: bool) -> None:
    from core.sensitivity.checking.checkup import check_up
    from core.workload.loading import canonical_ref, load_workload, sample_names
    from core.workload.sources.reference import runs_python

    ref = canonical_ref(model)
    workload = load_workload(ref)
    anew = ref not in sample_names() and runs_python(ref)
    if not as_json:
        for line in workload.notes:
            click.echo(line)
    tell = (lambda one: None) if as_json else _tell
    found = check_up(workload, (lambda: load_workload(ref)) if anew else None, tell)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(f"\n{found.top}")
    if any(complaint.stops for complaint in found.complaints):
        raise Failure(f"{workload.name} cannot be measured as it is; mend what is marked STOPS")


def _tell(one: "str | Complaint") -> None:
    if isinstance(one, str):
        click.echo(one)
    else:
        click.echo(f"\n{'STOPS' if one.stops else 'Look'}: {one.what}\n  → {one.mend}\n")


def _check_workspace(folder: Path, mend: bool, compact: bool, as_json: bool) -> None:
    from core.jobs.checking import compacted
    from core.jobs.checking.examined import examine
    from core.jobs.checking.quarantine import set_aside
    from core.jobs.known import left_out
    from core.workspace import Workspace

    workspace = Workspace(folder, create=False)
    found = examine(workspace)
    if mend:
        found = set_aside(workspace, found)
    left_out.forget()  # it is told here
    is_mended = found.is_sound or (bool(found.quarantine) and not found.broken)
    done = compacted.compact(workspace) if compact and is_mended else None
    if as_json:
        print_json({**found.to_json(), "compacted": None if done is None else done.to_json()})
    else:
        _tell_examined(found)
        if done is not None:
            click.echo(f"Written anew: {done.after:,} bytes, before {done.before:,}; no row has changed.")
    if found.broken or (found.damages and not found.quarantine):
        raise Failure(
            f"the workspace {found.folder} is damaged; "
            + ("copy it again, or take a backup" if found.broken else "`secateur check --mend` sets it aside")
        )


def _tell_examined(found: "Examined") -> None:
    from core.numbers import count_text

    counts = ", ".join(count_text(n, *NAMES[table]) for table, n in found.rows.items() if n)
    files = count_text(found.files, "file")
    click.echo(f"{found.folder}: {counts or 'no rows'}; {files} of bundles, rounds, trainings and logs.")
    for line in found.broken:
        click.echo(f"The database: {' '.join(line.split())}")
    for damage in found.damages[:MOST_TOLD]:
        click.echo(f"Damaged: {damage.title}: {damage.why}\n  → {damage.again}")
    if len(found.damages) > MOST_TOLD:
        click.echo(f"… and {len(found.damages) - MOST_TOLD:,} more; --json has them all.")
    if found.runs:
        which, them = ("run", "it") if len(found.runs) == 1 else ("runs", "them")
        click.echo(f"Of {which} {', '.join(found.runs)}: `secateur resume`, or ask for {them} again.")
    if found.quarantine:
        click.echo(f"Set aside: {found.quarantine} says what; nothing was deleted.")
    elif found.is_sound:
        click.echo("All of it is sound.")
