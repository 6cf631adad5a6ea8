"""The command that measures what each row of a plan is worth inside it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.command import command
from core.cli.failure import Failure
from core.cli.following import follow
from core.cli.opening import check_own, open_store
from core.cli.options import asked_shard, detach_option, device_option, refuse_idle, samples_option, shard_option
from core.cli.tolerance import in_metric_unit, points_option
from core.cli.tuning.goals import check_engine, cost_of_rows_option, engine_option
from core.cli.tuning.writing import check_waits, out_option, write_plan
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.jobs.known.plan_book import PlanBook
    from core.plans.plan import SparsityPlan


@command(
    "secateur undo fashion-vit plan.json  # what giving back each row gains, beside what it costs",
    "secateur undo fashion-vit 3f2a91bc --out better.json  # and the plan without the rows that stand first",
    "secateur undo fashion-vit plan.json --mode race --cost latency  # each row until it is decided, beside its time",
)
@click.argument("model")
@click.argument("plan")
@cost_of_rows_option
@engine_option
@samples_option(None, "to use, which nothing was chosen by as far as there are so many")
@click.option(
    "--mode",
    type=click.Choice(["exact", "race"]),
    default="exact",
    show_default=True,
    help="exact: every row on all examples. race: every row until it is decided whether it surely gains anything.",
)
@points_option("--interval", "race: stop a row whose interval is as narrow as this: {unit}.")
@click.option("--further/--no-further", default=True, help="Measure each row one step further too.  [default: do]")
@click.option(
    "--damage/--no-damage", default=True, help="Compare every layer's output with the dense model's.  [default: do]"
)
@out_option
@device_option
@shard_option
@detach_option
def undo(
    model: str,
    plan: str,
    kind: Any,
    engine: str | None,
    samples: Any,
    mode: Any,
    interval: float | None,
    further: bool,
    damage: bool,
    out: Path | None,
    device: str,
    shard: str | None,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Measure every row of PLAN given back alone, and one step further, beside the plan of MODEL itself.

    PLAN is a plan file, or the id or name of a kept plan (`secateur plans`). With --out, the plan without the first
    rows of the map is written: two or three whose gain is sure, and that were given back together.
    """
    from core.jobs.known.plan_book import PlanBook
    from core.jobs.launch import start_undo
    from core.sensitivity.inside.request import UndoRequest
    from core.workload.loading import canonical_ref

    check_waits(out, detach)
    if shard is not None and out is not None:
        refuse_idle("one shard knows a part of the rows alone; ask without --shard once all are merged", "out")
    check_engine(engine, kind)
    ref = canonical_ref(model)
    store = open_store(workspace)
    chosen = _plan(PlanBook(store.workspace), ref, plan)
    check_own(store, model, chosen)
    # refused here, before a model is read to learn its metric's unit
    request = UndoRequest(
        model,
        chosen.to_document(),
        samples,
        further,
        damage,
        device,
        cost=kind,
        mode=mode,
        width=interval,
        engine=engine,
        shard=asked_shard(shard),
    )
    if interval is not None:
        request = replace(request, width=in_metric_unit(store, model, interval))
    run, is_new = start_undo(store, request, "file")
    follow(store, run, is_new, detach, as_json)
    if out is None:
        return
    report = store.undo_report(store.get(run.id))
    if report is None or not report.together:
        raise Failure(f"no two rows surely gain anything, and {out} was not written; measure on more --samples")
    write_plan(report.without(report.together[-1].rows), out)
    click.echo(f"Wrote {out}.", err=True)


def _plan(book: "PlanBook", ref: str, which: str) -> "SparsityPlan":
    """A plan in a file, or else a kept one; of what is neither, its look says which was meant."""
    from core.plans.plan import SparsityPlan

    path = Path(which)
    try:
        return SparsityPlan.read(path) if path.is_file() else book.get(ref, which).plan
    except SecateurError:
        if path.suffix == ".json" or path.name != which:
            return SparsityPlan.read(path)
        raise
