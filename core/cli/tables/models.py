"""Models that can be named, and what of one can be cut."""

from collections.abc import Mapping, Sequence

from rich.console import Console

from core import numbers
from core.cli.tables.frame import new_table, print_table
from core.jobs.known.plan_words import memory_text
from core.plans.costs.left import plan_cost
from core.plans.plan import SparsityPlan
from core.workload import target_words
from core.workload.description import Description
from core.workload.inputs.pairs import pairing_text
from core.workload.target import Uncuttable

LITTLE = 0.5  # of the parameters: less than that is only so much


def models_table(refs: Sequence[str], known: Mapping[str, Description]) -> None:
    """Names, and what is known of each."""
    table = new_table("model", "metric", "evaluation", "parameters", "targets", "heads")
    for ref in refs:
        d = known.get(ref)
        if d is None:
            table.add_row(ref, "", "", "", "", "")
            continue
        table.add_row(
            ref,
            d.scale.name,
            f"{d.n_evaluation:,}",
            f"{d.n_parameters:,}",
            str(len(d.weight_targets)),
            str(len(d.head_targets)),
        )
    print_table(table)
    unread = [ref for ref in refs if ref not in known]
    if unread:
        Console().print(f"Not read in this workspace yet: {', '.join(unread)}. `secateur targets MODEL` reads one.")


def targets_table(description: Description) -> None:
    """How much can be cut, then what in network order, and below it what cannot and why."""
    reach = target_words.reach_text(description.targets, description.uncuttable, description.n_parameters)
    Console(soft_wrap=True, highlight=False).print(reach, style="bold")
    table = new_table("target", "kind", "shape", "weights", "share")
    for target in description.targets:
        label = target.name + (f"  (also {', '.join(target.shared_with)})" if target.shared_with else "")
        kind = target_words.kind_text(target)
        share = numbers.share_text(target.n_weights / description.n_parameters)
        table.add_row(label, kind, numbers.shape_text(target.shape), f"{target.n_weights:,}", share)
    print_table(table)
    if description.inputs:
        Console(soft_wrap=True, highlight=False).print(pairing_text(description.inputs))
    if description.memory and description.memory.held:
        whole = plan_cost(SparsityPlan(), description, "memory")
        Console(soft_wrap=True, highlight=False).print(memory_text(description, whole))
    if description.channel_targets:
        console = Console(soft_wrap=True, highlight=False)
        console.print("channels that go together", style="bold")
        for target in description.channel_targets:
            console.print(f"{target.name}: {target_words.members_text(target)}")
        console.print()
    if description.uncuttable:
        by_reason: dict[str, list[Uncuttable]] = {}
        for item in description.uncuttable:
            by_reason.setdefault(item.reason, []).append(item)
        console = Console(soft_wrap=True, highlight=False)
        console.print("cannot be cut", style="bold")
        for reason, items in by_reason.items():
            console.print(_what_stays(items) + f": {reason}")
            console.print(f"    {', '.join(item.name for item in items)}", style="dim")


def _what_stays(items: Sequence[Uncuttable]) -> str:
    n = sum(item.n_weights for item in items)
    return (
        f"{n:,} parameters in {len(items)} tensor{'s' * (len(items) != 1)}"
        if n
        else f"{len(items)} place{'s' * (len(items) != 1)}"
    )
