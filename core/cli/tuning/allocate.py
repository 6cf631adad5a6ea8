"""Plans by allocations from the literature, to compare with those that a sweep makes possible."""

from pathlib import Path
from typing import Any

import click

from core.cli.command import Renamed, command
from core.cli.options import SPREAD_HELP
from core.cli.tuning.goals import COST_HELP, left_option
from core.cli.tuning.writing import hand_over, out_option


@command(
    "secateur allocate fashion-vit --spread lamp --left 0.3 --out lamp.json  # to compare with what a solver finds",
    keeps=False,
)
@click.argument("model")
@click.option("--spread", "name", cls=Renamed, old=("--by",), required=True, metavar="NAME", help=f"{SPREAD_HELP}.")
@left_option
@click.option("--cost", type=click.Choice(["nonzeros", "flops"]), default="nonzeros", show_default=True, help=COST_HELP)
@out_option
def allocate(model: str, name: str, left: Any, cost: Any, out: Path | None, as_json: bool) -> None:
    """Make a plan of MODEL's weights by an allocation that knows shapes and sizes of weights only."""
    from core.profiling.target_flops import flops_by_target
    from core.pruning.allocations import allocated_plan
    from core.workload.description import describe
    from core.workload.loading import canonical_ref, load_workload

    ref = canonical_ref(model)
    workload = load_workload(ref)
    found = describe(ref, workload, count_flops=flops_by_target)
    hand_over(allocated_plan(name, workload.model, found, left, cost), out, as_json)
