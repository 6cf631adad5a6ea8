"""What a plan measured, and what a bundle holds."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from core import numbers
from core.cli.tables.frame import new_table, print_table
from core.delivery.card.facts import COUNTED, card_variants
from core.sensitivity.report import Estimate
from core.workload.scale import Scale


def variants_table(manifest: Mapping[str, Any]) -> None:
    """The models of a bundle side by side, as on its card, but for what is counted there."""
    found = card_variants(manifest, Scale.from_json(dict(manifest["measured"]["metric"])))
    shown = [i for i, column in enumerate(found.columns) if column not in COUNTED]
    table = new_table(*(found.columns[i] for i in shown))
    for row in found.rows:
        table.add_row(*(row[i] for i in shown))
    print_table(table)


def measured_lines(measured: Mapping[str, Any]) -> None:
    """Dense, pruned and drop of a plan."""
    scale = Scale.from_json(dict(measured["metric"]))
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"removes  {measured['n_removed']:,} of {measured['n_weights']:,} cuttable weights "
                  f"({numbers.share_text(measured['n_removed'] / max(1, measured['n_weights']))})")  # fmt: skip
    console.print(f"dense    {numbers.metric_with_interval(scale, Estimate(**measured['dense']))}")
    if measured["pruned"]:
        console.print(f"pruned   {numbers.metric_with_interval(scale, Estimate(**measured['pruned']))}")
        console.print(
            f"drop     {numbers.drop_with_interval(scale, Estimate(**measured['drop']))}  (paired, 95 % interval)"
        )
    if measured["reason"]:
        console.print(f"{measured['state']}: {measured['reason']}")
    for line in measured.get("not_repaired") or ():
        console.print(line)
    for note in measured.get("notes") or ():  # runs of older builds have none
        console.print(note)
