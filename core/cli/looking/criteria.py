"""Criteria on the command line: which there are, and how far each reaches."""

from collections.abc import Sequence
from pathlib import Path

import click

from core import numbers
from core.cli.command import command
from core.cli.opening import open_store
from core.cli.options import print_json
from core.errors import SecateurError
from core.plans import cut_words
from core.plans.criteria import FACTS, why_not
from core.sensitivity import sweep_words
from core.workload.target import Target

KINDS = {"weight": "weights", "channel": "channels", "head": "heads"}


@command(
    "secateur criteria",
    "secateur criteria fashion-vit  # how many of its targets each fits",
)
@click.argument("model", required=False)
def criteria(model: str | None, workspace: Path, as_json: bool) -> None:
    """List the criteria by which a cut can choose what goes; with MODEL, how many of its targets each fits."""
    targets = _targets_of(model, workspace) if model else None
    if as_json:
        print_json([_document(name, targets) for name in FACTS])
        return
    from rich.console import Console

    from core.cli.tables.frame import new_table, print_table

    fits = () if targets is None else tuple(KINDS.values())
    table = new_table("criterion", "chooses", "needs", *fits, "source", right=fits)
    for name, facts in FACTS.items():
        counts = [] if targets is None else [_fit_text(name, targets, kind) for kind in KINDS]
        needs = cut_words.needs_text(facts)
        table.add_row(name, ", ".join(facts.scores), needs, *counts, f"{facts.paper}, {facts.source}")
    print_table(table)
    console = Console(soft_wrap=True, highlight=False)
    for name, facts in FACTS.items():
        console.print(f"[bold]{name}[/bold]: {facts.meaning}")
    if targets is not None:
        console.print("A count is of targets that the criterion has a meaning for; what the data say shows in a sweep.")


def _targets_of(model: str, workspace: Path) -> Sequence[Target]:
    from core.pruning.structure import everything
    from core.workload.description import describe
    from core.workload.loading import canonical_ref, load_workload

    runs, ref = open_store(workspace), canonical_ref(model)
    description = describe(ref, load_workload(ref), everything)
    runs.remember(description)
    return description.targets


def _document(name: str, targets: Sequence[Target] | None) -> dict[str, object]:
    facts = FACTS[name]
    document: dict[str, object] = {
        "criterion": name,
        "meaning": facts.meaning,
        "paper": facts.paper,
        "source": facts.source,
        "chooses": list(facts.scores),
        "needs": facts.needs,
        "nested": facts.nested,
        "updates": facts.updates,
    }
    if targets is not None:
        document["targets"] = [
            {"target": target.name, "granularity": target.granularity, "reason": why_not(name, target)}
            for target in targets
            if target.granularity in KINDS
        ]
    return document


def _fit_text(name: str, targets: Sequence[Target], granularity: str) -> str:
    there = [target for target in targets if target.granularity == granularity]
    n = sum(why_not(name, target) is None for target in there)
    return f"{n} of {len(there)}" if there else ""


def show_comparison(workspace: Path, run: str, tolerance: float | None, as_json: bool) -> None:
    """How far each criterion of a sweep reaches within a tolerance, target by target."""
    from core.sensitivity.criteria_comparison import compare_criteria, compared_granularities, criteria_of
    from core.sensitivity.report import default_tolerance
    from core.tuning.request import checked_tolerance

    if tolerance is not None:
        checked_tolerance(tolerance)
    store = open_store(workspace, create=False)
    found = store.get(run)
    report = store.report(found) if found.kind == "sweep" else None
    if report is None or report.dense is None:
        raise SecateurError(f"run {found.id} is no sweep that has measured anything; --compare compares its criteria")
    granularities = compared_granularities(report.cells)
    if not granularities:
        raise SecateurError(
            f"run {found.id} cut by one criterion, and there is nothing to compare; "
            "`secateur sweep MODEL --criteria magnitude,wanda` measures several"
        )
    if tolerance is None:
        accepted = default_tolerance(report.scale, report.dense.value)
    else:
        accepted = tolerance / report.scale.factor  # as it is shown
    compared = {name: compare_criteria(report.cells, accepted, name) for name in granularities}
    if as_json:
        document = {name: [one.to_json() for one in found] for name, found in compared.items()}
        print_json({"run": found.id, "tolerance": accepted, "granularities": document})
        return
    from rich.console import Console

    from core.cli.tables.frame import new_table, print_table

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"within {numbers.limit_text(report.scale, accepted)}, n = {report.dense.n:,}")
    for granularity, targets in compared.items():
        names = criteria_of(report.cells, granularity)
        table = new_table(cut_words.granularity_text(granularity), *names, "best", right=names)
        for one in targets:
            table.add_row(one.target, *(sweep_words.reach_text(one, name) for name in names), one.best or "none")
        print_table(table)
    console.print(sweep_words.COMPARISON_NOTE)
