"""The command that tries a model before long work."""

import click

from core.cli.command import command
from core.cli.failure import Failure
from core.cli.options import print_json


@command(
    "secateur check my_workload.py  # seconds: what would go wrong, and what a sweep will take",
    "secateur check hf:./folder --data test.csv",
    keeps=False,
)
@click.argument("model")
def check(model: str, as_json: bool) -> None:
    """Try MODEL for some seconds before long work: what it gives twice, what can be cut, what a sweep will take.

    Ends with 2 where nothing can be measured; what else there is to look at is only told.
    """
    from core.sensitivity.checking.checkup import check_up
    from core.workload.loading import canonical_ref, load_workload, sample_names
    from core.workload.sources.reference import runs_python

    ref = canonical_ref(model)
    workload = load_workload(ref)
    anew = ref not in sample_names() and runs_python(ref)
    found = check_up(workload, (lambda: load_workload(ref)) if anew else None)
    if as_json:
        print_json(found.to_json())
    else:
        for line in (found.top, "", *found.notes, *([""] if found.notes else []), *found.found):
            click.echo(line)
        for complaint in found.complaints:
            click.echo(f"\n{'STOPS' if complaint.stops else 'Look'}: {complaint.what}\n  → {complaint.mend}")
    if any(complaint.stops for complaint in found.complaints):
        raise Failure(f"{workload.name} cannot be measured as it is; mend what is marked STOPS")
