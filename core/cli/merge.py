"""`secateur merge`: workspaces of several machines become one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli.command import command
from core.cli.options import print_json
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.jobs.merging.merged import Merged


@command("secateur merge from-one/.secateur from-another/.secateur  # runs, maps, drafts and bundles come along")
@click.argument("others", metavar="OTHER…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--atol", "tolerance", type=click.FloatRange(min=0), default=0.0, show_default=True, metavar="DIFFERENCE",
    help="How far scores of one example may differ where both workspaces have measured the same; those here stay.",
)  # fmt: skip
def merge(others: Sequence[Path], tolerance: float, workspace: Path, as_json: bool) -> None:
    """Take over what was measured in the workspaces OTHER, on other machines say. They are read and never changed.

    What is here already stays as it is. A sweep of the same model then reuses what any of them has measured. Where both
    have measured the same and differ by more than --atol, the merge is refused with both machines named.
    """
    from core.jobs.merging import merge as merging
    from core.workspace import Workspace

    folders = [merging.mergeable(other, workspace) for other in others]  # before a workspace is made for nothing
    here = Workspace(workspace)
    done: list[Merged] = []
    for folder in folders:
        try:
            done.append(merging.merge(here, folder, tolerance))
        except SecateurError as error:
            before = f"; merged before it: {', '.join(merged.source for merged in done)}" if done else ""
            raise SecateurError(f"{error}{before}") from None
        if not as_json:
            _tell(done[-1])
    if not as_json:
        from core.jobs.merging.shards import shard_sets, shard_text
        from core.jobs.runs import RunStore

        store = RunStore(here)
        new = {run for merged in done for run in merged.runs}
        for found in shard_sets(store.list()):
            if any(run.id in new for _, run in found.runs):
                known = store.description(found.runs[0][1].workload)
                click.echo(f"  {shard_text(found, known[0].scale.factor if known else 1.0)}.")
    if as_json:
        print_json([merged.to_json() for merged in done])


def _tell(merged: "Merged") -> None:
    from core.numbers import count_text

    counts = {
        ("measurement",): merged.added,
        ("run",): len(merged.runs),
        ("model",): merged.models,
        ("kept plan",): merged.plans,
        ("plan being made", "plans being made"): merged.drafts,
        ("bundle",): merged.bundles,
        ("round of recoveries", "rounds of recoveries"): merged.rounds,
        ("training of tickets", "trainings of tickets"): merged.tickets,
    }
    new = ", ".join(count_text(n, *what) for what, n in counts.items() if n) or "nothing new"
    known = count_text(merged.known, "measurement was", "measurements were")
    click.echo(f"{merged.source}: {new}; {known} here already.")
    if merged.differing:
        how = (
            "one is NaN or of another length where the other is a number"
            if merged.largest_difference is None
            else f"by at most {merged.largest_difference:.3g} in one example's score"
        )
        click.echo(
            f"  {merged.differing:,} of these differ, {how}: that machine computes otherwise. Those here stay, and "
            "what was added is compared with the dense model as it was measured here."
        )
    if merged.skipped:
        click.echo(
            f"  {merged.skipped:,} rows of runs, maps, models, plans or drafts are damaged there and were left out: "
            "copy that workspace again if they should be whole."
        )
    if merged.damaged:
        click.echo(
            f"  {merged.damaged:,} measurements are damaged there (they do not fit their digests) and were left out: "
            "they are measured again when they are needed; copy that workspace again if they should be whole."
        )
    for line in merged.left:
        click.echo(f"  Left there: {line}")
    for old, new_id in merged.renamed.items():
        click.echo(f"  Its run {old} is {new_id} here, where another run has that id.")
    for run in merged.unfinished:
        click.echo(f"  Run {run} had not ended there: merge again when it has, or `secateur resume {run}` here.")
