"""The command that certifies a plan, or a model that was trained."""

import json
from pathlib import Path

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.judging.judging_options import margin_option
from core.cli.opening import check_own, open_store
from core.cli.options import confidence_option, detach_option, device_option
from core.cli.tolerance import in_metric_unit
from core.cli.written import write_text
from core.errors import SecateurError

EXIT_CODES = {"certified": 0, "exceeded": 1, "open": 3}  # 2 is of bad input, here as everywhere


@command(
    "secateur certify fashion-vit plan.json --within 2  # on examples that nothing was chosen by",
    "secateur certify fashion-vit plan.json --within 2 --confidence 99 --out certificate.json",
    "secateur certify recovered.py --within 2  # a round that `secateur recover --out` wrote, as it is",
)
@click.argument("model")
@click.argument("plan", required=False, type=click.Path(path_type=Path))
@margin_option("The drop that it must not exceed")
@confidence_option("Of all certificates on the same examples together")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Also write the certificate to this file, as JSON; must not exist."
)
@device_option
@detach_option
def certify(
    model: str,
    plan: Path | None,
    within: float,
    confidence: float,
    out: Path | None,
    device: str,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Show that the plan in the file PLAN costs MODEL no more than --within, on examples that nothing was chosen by.

    Of a MODEL that Secateur recovered or made smaller, PLAN may be left out; the drop is from the dense one.

    They are a fifth of the evaluation data, set aside from the first sweep on, or what the workload names as holdout.
    Reads batch after batch and stops when the answer is certain; the certificate goes into the next bundle of the plan.
    Ends with 0 if it is certified, with 1 if it is certain that it is not, and with 3 if more examples are needed.
    """
    from core.jobs.launch import start_certify
    from core.plans.plan import SparsityPlan

    chosen = SparsityPlan.read(plan) if plan is not None else SparsityPlan()
    if out is not None and out.exists():
        raise SecateurError(f"{out} exists already; choose another place, or remove it first")
    if out is not None and detach:
        raise SecateurError("--detach returns before there is a certificate to write; leave out --out, or --detach")
    store = open_store(workspace)
    check_own(store, model, chosen)
    drop = in_metric_unit(store, model, within)
    run, is_ours = start_certify(store, model, chosen, drop, confidence / 100, device, made_by="file")
    follow(store, run, is_ours, detach, as_json)
    found = (store.get(run.id).result or {}).get("certificate")
    if found is not None and not detach:
        if out is not None:
            write_text(out, json.dumps(found, indent=2) + "\n")
        raise click.exceptions.Exit(EXIT_CODES[found["state"]])
