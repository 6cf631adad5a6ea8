"""The command that tries a model before long work."""

from typing import TYPE_CHECKING

import click

from core.cli.command import command
from core.cli.failure import Failure
from core.cli.options import print_json

if TYPE_CHECKING:
    from core.sensitivity.checking.checkup import Complaint


@command(
    "secateur check my_workload.py  # seconds: what would go wrong, and what a sweep will take",
    "secateur check hf:./folder --data test.csv",
    keeps=False,
)
@click.argument("model")
def check(model: str, as_json: bool) -> None:
    """Try MODEL for some seconds before long work: what it gives twice, what can be cut, what a sweep will take.

    Each finding is told as it is made; the last line says whether to go on.
    Ends with 2 where nothing can be measured; what else there is to look at is only told.
    """
    from core.sensitivity.checking.checkup import check_up
    from core.workload.loading import canonical_ref, load_workload, sample_names
    from core.workload.sources.reference import runs_python

    ref = canonical_ref(model)
    workload = load_workload(ref)
    anew = ref not in sample_names() and runs_python(ref)
    if not as_json:
        for line in workload.notes:
            click.echo(line)
    tell = (lambda one: None) if as_json else _tell
    found = check_up(workload, (lambda: load_workload(ref)) if anew else None, tell)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(f"\n{found.top}")
    if any(complaint.stops for complaint in found.complaints):
        raise Failure(f"{workload.name} cannot be measured as it is; mend what is marked STOPS")


def _tell(one: "str | Complaint") -> None:
    if isinstance(one, str):
        click.echo(one)
    else:
        click.echo(f"\n{'STOPS' if one.stops else 'Look'}: {one.what}\n  → {one.mend}\n")
