"""Commands that look into the plan book: what was made, predicted and measured; and how two plans differ."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from core.cli.command import command
from core.cli.opening import open_book
from core.cli.options import last_option, print_json
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.jobs.known.kept_plan import KeptPlan, MeasuredPlan
    from core.jobs.known.plan_book import PlanBook
    from core.plans.plan import SparsityPlan
    from core.workload.description import Description

NOTE_WIDTH = 60  # in a table; --json has all of it


@command(
    "secateur plans fashion-vit  # who made each, predicted beside measured, the gap",
    "secateur plans fashion-vit --rename 3f2a91bc small --note small 'for the phone'",
)
@click.argument("model")
@click.option("--rename", nargs=2, metavar="ID NAME", help="Give a plan a name; an empty one takes it away.")
@click.option("--note", nargs=2, metavar="ID TEXT", help="Write a note beside a plan; an empty one takes it away.")
@click.option("--forget", metavar="ID", help="Take a plan out that nobody has measured.")
@last_option
def plans(
    model: str,
    rename: tuple[str, str] | None,
    note: tuple[str, str] | None,
    forget: str | None,
    last: int | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """List the plans kept for MODEL, newest first: who made them, what was predicted, what measured, and the gap.

    ID is a plan's id, the beginning of it, or its name. With --rename, --note or --forget, only what changed is told.
    """
    ref, book = open_book(workspace, model)
    changed: list[tuple[str, KeptPlan]] = []
    if rename:
        one = book.rename(ref, *rename)
        changed.append((f"is called “{one.name}”" if one.name else "has no name", one))
    if note:
        one = book.write_note(ref, *note)
        changed.append(("has a note" if one.note else "has no note", one))
    if forget is not None:
        changed.append(("is forgotten", book.forget(ref, forget)))
    rows: dict[str, list[MeasuredPlan]] = {}
    for row in book.measured(ref):
        rows.setdefault(row.kept.fingerprint, []).append(row)
    if as_json:
        shown = {one.fingerprint: one for _, one in changed}.values() or book.all(ref)[:last]
        print_json(
            [{**one.to_json(), "measured": [m.to_json() for m in rows.get(one.fingerprint, ())]} for one in shown]
        )
        return
    for what, one in changed:
        click.echo(f"Plan {one.id} {what} now." if what != "is forgotten" else f"Plan {one.id} {what}.")
    if not changed:
        _table(ref, book, rows, last)


@command(
    "secateur diff fashion-vit 3f2a91bc 77d0e1a2  # two plans, line by line",
    "secateur diff fashion-vit small plan.json",
)
@click.argument("model")
@click.argument("a")
@click.argument("b")
def diff(model: str, a: str, b: str, workspace: Path, as_json: bool) -> None:
    """Show what differs from plan A to plan B of MODEL: ids or names of kept plans, or plan files (….json)."""
    from core.plans.diff import compared
    from core.plans.diff import diff as differences

    ref, book = open_book(workspace, model)
    before, after = (_plan(book, ref, which) for which in (a, b))
    known = _description(book, ref)
    comparison = compared(before, after, known) if known else None
    found = comparison.differences if comparison else differences(before, after)
    if as_json:
        from dataclasses import asdict

        totals = [asdict(comparison.before), asdict(comparison.after)] if comparison else [None, None]
        repairs = {"repairs": [before.repair, after.repair]} if before.repair or after.repair else {}
        print_json(
            {"differences": [one.to_json() for one in found], "before": totals[0], "after": totals[1], **repairs}
        )
        return
    from core.cli.tables.frame import new_table, print_table
    from core.jobs.known import plan_words
    from core.plans.repairs import repair_words

    if found:
        table = new_table("target", escape(a), escape(b), right=(escape(a), escape(b)))
        for one in found:
            sides = plan_words.side_text(one.before, one.after), plan_words.side_text(one.after, one.before)
            table.add_row(escape(plan_words.difference_title(one)), *sides)
        print_table(table)
    else:
        click.echo(f"{a} and {b} cut the same.")
    if before.repair != after.repair:
        own = [repair_words(plan.repair) or "raw" for plan in (before, after)]
        click.echo(f"{a} is {own[0]}, {b} {own[1]}.")
    for line in plan_words.totals_lines((a, b), (comparison.before, comparison.after)) if comparison else ():
        click.echo(line)


def _plan(book: "PlanBook", ref: str, which: str) -> "SparsityPlan":
    """A kept plan, or else one in a file; of what is neither, its look says which was meant."""
    from core.plans.plan import SparsityPlan

    path = Path(which)
    try:
        return book.get(ref, which).plan
    except SecateurError:
        if path.is_file() or path.suffix == ".json" or path.name != which:
            return SparsityPlan.read(path)
        raise


def _description(book: "PlanBook", ref: str) -> "Description | None":
    from core.jobs.runs import RunStore

    known = RunStore(book.workspace).description(ref)
    return known[0] if known else None


def _table(ref: str, book: "PlanBook", rows: "Mapping[str, Sequence[MeasuredPlan]]", last: int | None) -> None:
    from core import numbers
    from core.cli.tables.frame import new_table, print_table
    from core.jobs.known import plan_words
    from core.plans.costs.totals import plan_totals

    def add_row(*texts: str) -> None:
        table.add_row(*map(escape, texts))  # what a person wrote is no markup

    kept, known = book.all(ref), _description(book, ref)
    if not kept:
        click.echo(f"No plans of {ref} yet. `secateur apply {ref} PLAN` measures one and keeps it.")
        return
    right = ("cuts", "removed", "predicted", "measured", "gap")
    columns = ("name", "made by", "parent", "cuts", "removed", "predicted", "form", "measured", "gap", "", "note")
    table = new_table("plan", *columns, right=right)
    for one in kept[:last]:
        predicted = one.prediction.value if one.prediction else None
        start = (one.id, one.name or "", plan_words.MADE_BY[one.made_by], one.parent or "", f"{len(one.plan.cuts):,}")
        note = textwrap.shorten(one.note or "", NOTE_WIDTH, placeholder=" …")
        for row in rows.get(one.fingerprint, ()):  # one measured masked and shrunk has two
            result = row.result
            add_row(
                *start,
                plan_words.removed_share(result.n_removed, result.n_weights),
                plan_words.predicted_text(result.scale, predicted) if predicted else "",
                result.form,
                plan_words.measured_text(row),
                plan_words.gap_text(row),
                plan_words.inside_text(row),
                note,
            )
        if one.fingerprint not in rows:
            totals = plan_totals(one.plan, known) if known else None
            share = plan_words.removed_share(totals.n_removed, totals.n_weights, totals.exact) if totals else ""
            foreseen = plan_words.predicted_text(known.scale, predicted) if known and predicted else ""
            add_row(*start, share, foreseen, "", "not measured", "", "", note)
    print_table(table)
    if last is not None and len(kept) > last:
        click.echo(f"The last {last:,} of {len(kept):,} plans.")
    if known:
        note = plan_words.PLANS_NOTE.format(unit=numbers.drop_unit(known.scale))
        click.echo(f"{note} {plan_words.ABOUT_NOTE}")
