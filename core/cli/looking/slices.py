"""Who suffers from a cut: drops class by class (`secateur show RUN --by class`), and the examples that it breaks."""

import difflib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from core import numbers
from core.cli.command import command
from core.cli.opening import open_store
from core.cli.options import FractionType, print_json
from core.errors import SecateurError
from core.plans import cut_words
from core.sensitivity import sweep_words

if TYPE_CHECKING:
    from core.jobs.run import Run
    from core.jobs.runs import RunStore
    from core.sensitivity.report import CellResult, SensitivityReport
    from core.sensitivity.slices import SliceDrop

MANY = 20  # slices in a table; --json has them all


@command("secateur broken 3f2a fc --sparsity 0.9")
@click.argument("run")
@click.argument("target")
@click.option("--sparsity", type=FractionType(), help="Which cut of TARGET, if the run has several.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many examples to list.")
def broken(run: str, target: str, sparsity: float | None, limit: int, workspace: Path, as_json: bool) -> None:
    """List the examples that were better before TARGET was cut in the sweep RUN, the largest loss first."""
    from core.cli.tables.frame import new_table, print_table
    from core.sensitivity.evidence import EvidenceStore
    from core.sensitivity.slices import broken_examples

    store, found, report = _sweep(workspace, run)
    cells = _cells(report, target, sparsity)
    if len(cells) > 1:
        raise SecateurError(f"run {found.id} has several cuts of {target}; name one: --sparsity {_sparsities(cells)}")
    (cell,) = cells
    lost = broken_examples(
        EvidenceStore(store.workspace),
        found.result or {},
        cell.evidence or "",
        limit,
        cell.drop.n if cell.drop else None,
    )
    if as_json:
        print_json({"run": found.id, "cut": asdict(cell.cut), **asdict(lost)})
        return
    names = list(dict.fromkeys(name for example in lost.examples for name in example.columns))
    rows = new_table("position", *map(escape, names), "dense", "cut", right=("dense", "cut"))
    for one in lost.examples:
        scores = (f"{one.dense_score:.4g}", "no number" if one.score is None else f"{one.score:.4g}")
        rows.add_row(str(one.position), *(escape(str(one.columns.get(name, ""))) for name in names), *scores)
    if lost.examples:
        print_table(rows)
    click.echo(sweep_words.broken_text(lost.n_broken, lost.n_better, lost.n, len(lost.examples)))


def show_slices(
    workspace: Path, run: str, column: str, target: str | None, sparsity: float | None, as_json: bool
) -> None:
    """Print the drops of a sweep's cells, value by value of a column.

    Args:
        workspace, run: as the command line names them.
        column: to slice by.
        target, sparsity: of the cells to show; `None` for all.
        as_json: one document instead of a table.
    """
    from core.sensitivity.evidence import EvidenceStore
    from core.sensitivity.slices import slice_drops

    store, found, report = _sweep(workspace, run)
    evidence = EvidenceStore(store.workspace)
    shown = [
        (
            cell,
            slice_drops(evidence, found.result or {}, cell.evidence or "", column, cell.drop.n if cell.drop else None),
        )
        for cell in _cells(report, target, sparsity)
    ]
    if as_json:
        print_json(
            {
                "run": found.id,
                "by": column,
                "metric": asdict(report.scale),
                "cells": [{**cell.to_json(), "slices": [asdict(one) for one in drops]} for cell, drops in shown],
            }
        )
    else:
        _slices_table(report, column, shown)


def _slices_table(
    report: "SensitivityReport", column: str, shown: "list[tuple[CellResult, tuple[SliceDrop, ...]]]"
) -> None:
    from core.cli.tables.frame import new_table, print_table
    from core.sensitivity.slices import in_order

    worst: dict[Any, float] = {}
    for _, drops in shown:
        for one in drops:
            worst[one.value] = max(worst.get(one.value, float("-inf")), one.drop.value if one.drop else float("-inf"))
    values = sorted(sorted(worst, key=lambda value: -worst[value])[:MANY], key=in_order)
    named = [escape(str(value)) for value in values]
    rows = new_table("target", "removed", "all", *named, right=("removed", "all", *named))
    for cell, drops in shown:
        removed = cut_words.removed_text(cell.cut)
        known = {one.value: sweep_words.slice_text(report.scale, one.drop) for one in drops}
        # a cut of no effect has none on any slice: zeros would call them robust
        texts = ["" if cell.state == "no effect" else known.get(value, "") for value in values]
        rows.add_row(cell.cut.target, removed, sweep_words.cell_text(report.scale, cell), *texts)
    print_table(rows)
    click.echo(
        f"Drop in {numbers.drop_unit(report.scale)} by {column}, positive = worse than dense on the same examples. "
        "· the 95 % interval holds 0.  –: fewer than two examples, or no number."
    )
    if len(worst) > len(values):
        click.echo(f"The {len(values)} of {len(worst)} with the largest drops; --json has all, with intervals.")
    stopped = any(cell.stage != "full" for cell, _ in shown)
    click.echo(sweep_words.slices_note(sum(len(drops) for _, drops in shown), stopped))


def _sweep(workspace: Path, run: str) -> "tuple[RunStore, Run, SensitivityReport]":
    store = open_store(workspace, create=False)
    found = store.get(run)
    report = store.report(found) if found.kind == "sweep" else None
    if report is None:
        what = "has measured nothing yet" if found.kind == "sweep" else f"is no sweep but of the kind {found.kind}"
        raise SecateurError(f"run {found.id} {what}; `secateur runs` lists the sweeps")
    return store, found, report


def _cells(report: "SensitivityReport", target: str | None, sparsity: float | None) -> "list[CellResult]":
    """Measured cells of a target at a sparsity; at least one."""
    # of a layer cut in several ways its own name is its weights; `fc 2:4` is a pattern
    curves = [cell.cut.curve for cell in report.cells if cell.cut.sparsity is not None]
    names = list(dict.fromkeys([*(cell.cut.target for cell in report.cells), *curves]))
    if target is not None and target not in names:
        close = difflib.get_close_matches(target, names, n=1)
        mend = f"did you mean {close[0]}?" if close else f"it has {', '.join(names[:5])}{', …' * (len(names) > 5)}"
        raise SecateurError(f"run {report.run} has no target {target!r}; {mend}")
    of_curve = [cell for cell in report.cells if target in (None, cell.cut.curve)]
    of_target = of_curve or [cell for cell in report.cells if cell.cut.target == target]
    cells = [cell for cell in of_target if sparsity in (None, cell.cut.sparsity)]
    if not cells:
        known = _sparsities(of_target)
        mend = f"it has {known}" if known else "a head goes whole: leave --sparsity out"
        raise SecateurError(f"run {report.run} has no cell of sparsity {sparsity} there; {mend}")
    measured = [cell for cell in cells if cell.state != "waiting"]
    if not measured:
        raise SecateurError(f"run {report.run} has not measured that yet; wait, or `secateur resume {report.run}`")
    return measured


def _sparsities(cells: "list[CellResult]") -> str:
    return ", ".join(f"{s:g}" for s in sorted({cell.cut.sparsity for cell in cells if cell.cut.sparsity is not None}))
