"""One plan, line by line."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from core.cli.tables.frame import new_table, print_table
from core.plans import cut_words
from core.plans.repairs import REPAIRS, repair_words

if TYPE_CHECKING:
    from core.plans.plan import SparsityPlan


def plan_table(plan: "SparsityPlan") -> None:
    """Every cut: target, what goes of it, by which criterion."""
    table = new_table("target", "what goes", "criterion")
    for cut in plan.cuts:
        table.add_row(escape(cut.target), cut_words.what_goes_text(cut), cut.criterion or "")
    print_table(table)
    if plan.repair:
        Console(soft_wrap=True, highlight=False).print(f"{repair_words(plan.repair)}: {REPAIRS[plan.repair]}")
