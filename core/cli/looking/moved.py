"""The command that compares the maps of two models."""

from pathlib import Path

import click

from core import numbers
from core.cli.command import command
from core.cli.opening import open_store
from core.cli.options import confidence_option, print_json, share_of
from core.errors import SecateurError
from core.plans import cut_words


@command("secateur moved 3f2a 91bc  # which layers the new checkpoint made more sensitive, or less")
@click.argument("before")
@click.argument("after")
@confidence_option("That none of the cuts is called moved by chance, all together")
@click.option("--all", "everything", is_flag=True, help="Also list the cuts of which it is unclear.")
def moved(before: str, after: str, confidence: float, everything: bool, workspace: Path, as_json: bool) -> None:
    """Say which cuts cost more, or less, in the sweep AFTER than in the sweep BEFORE, on the same examples.

    The two are sweeps of two models with the same layers, such as two checkpoints, on the same evaluation data.
    """
    from core.cli.tables.frame import new_table, print_table
    from core.sensitivity.evidence import EvidenceStore
    from core.sensitivity.moved import moved_map

    share = share_of(confidence)
    store = open_store(workspace, create=False)
    runs = [store.get(one) for one in (before, after)]
    for run in runs:
        if run.kind != "sweep" or run.result is None:
            raise SecateurError(f"run {run.id} is no sweep that has measured anything; `secateur runs` lists them")
    maps = [store.report(run) for run in runs]
    assert maps[0] is not None
    assert maps[1] is not None
    results = (runs[0].result or {}, runs[1].result or {})
    found = moved_map(EvidenceStore(store.workspace), maps[0], maps[1], results, share)
    if as_json:
        print_json({"before": runs[0].id, "after": runs[1].id, **found.to_json()})
        return
    shown = [one for one in found.cells if everything or one.direction != "unclear"]
    table = new_table("target", "removed", "drop before", "drop after", "difference", "sensitive")
    for one in shown:
        table.add_row(
            one.cut.target,
            cut_words.removed_text(one.cut) if one.cut.sparsity is not None else "as a whole",
            numbers.drop_text(found.scale, one.before),
            numbers.drop_text(found.scale, one.after),
            numbers.drop_with_interval(found.scale, one.difference),
            one.direction,
        )
    if shown:
        print_table(table)
    n = sum(one.direction != "unclear" for one in found.cells)
    click.echo(
        f"{n:,} of {len(found.cells):,} cuts moved; intervals hold for all of them together with {confidence:.4g} %, "
        "so each is wider for it."
    )
