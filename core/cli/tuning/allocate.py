"""Plans by allocations from the literature, to compare with those that a sweep makes possible."""

from typing import Any

import click

from core.cli.options import FractionType


@click.command()
@click.argument("model")
@click.option("--by", "name", required=True, metavar="NAME", help="uniform, erk, global or lamp.")
@click.option("--left", type=FractionType(), required=True, help="What may be left of the cost, in (0, 1].")
@click.option("--cost", type=click.Choice(["nonzeros", "flops"]), default="nonzeros", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A plan is JSON with or without it.")
def allocate(model: str, name: str, left: Any, cost: str, as_json: bool) -> None:
    """Print a plan of MODEL's weights by an allocation that knows shapes and sizes of weights only."""
    from core.profiling.target_flops import flops_by_target
    from core.pruning.allocations import allocated_plan
    from core.workload.description import describe
    from core.workload.loading import canonical_ref, load_workload

    ref = canonical_ref(model)
    workload = load_workload(ref)
    found = describe(ref, workload, count_flops=flops_by_target)
    click.echo(allocated_plan(name, workload.model, found, left, cost).to_json(), nl=False)
