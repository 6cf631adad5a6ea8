"""The command that prunes in rounds with recovery between them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.command import Renamed, command
from core.cli.following import follow
from core.cli.opening import check_own, open_store
from core.cli.options import (
    CRITERION_HELP,
    SPREAD_HELP,
    FractionType,
    ListType,
    check_log,
    detach_option,
    device_option,
    log_option,
    refuse_idle,
    samples_option,
    typed,
)
from core.cli.tolerance import in_metric_unit, within_option
from core.cli.training.training_options import (
    batch_size_option,
    check_length,
    epochs_option,
    optimiser_option,
    rate_option,
    steps_option,
)
from core.cli.written import write_text
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.jobs.runs import RunStore


@command(
    "secateur recover fashion-vit --final 0.8 --within 1  # prune in rounds, fine-tune after each, masks held",
    "secateur recover fashion-vit plan.json --rounds 4 --out vit.py  # every target ends as the plan says",
    "secateur recover small.py --final 0  # only train",
    "secateur recover fashion-vit --final 0.8 --from 3f2a --round 3  # go on after a round, with other settings",
)
@click.argument("model")
@click.argument("plan", required=False, type=click.Path(path_type=Path))
@click.option(
    "--final",
    type=FractionType(),
    default=0.9,
    show_default=True,
    help="Share removed, without PLAN; 0: only train.",
)
@click.option("--initial", type=FractionType(), default=0.0, show_default=True, help="Share removed to begin with.")
@click.option(
    "--rounds",
    "iterations",
    cls=Renamed,
    old=("--iterations",),
    type=int,
    help="How many.  [default: 5; one_shot 1; geometric: 20 % of the rest in each]",
)
@click.option(
    "--schedule", default="cubic", show_default=True, help="one_shot, linear, cubic or geometric.", metavar="NAME"
)
@click.option(
    "--given",
    type=ListType(float, "0.5,0.8", may_be_empty=True),
    metavar="S,S,…",
    help="Sparsities after each round; with PLAN, in proportion.",
)
@click.option("--spread", default="global", show_default=True, help=f"{SPREAD_HELP}; without PLAN.")
@click.option("--criterion", default="magnitude", show_default=True, help=f"{CRITERION_HELP} Without PLAN.")
@epochs_option("round")
@steps_option("round")
@click.option(
    "--last-round",
    "last",
    cls=Renamed,
    old=("--last",),
    type=float,
    default=1.0,
    show_default=True,
    help="The last round trains this many times as long.",
)
@optimiser_option
@rate_option
@click.option("--decay", default="cosine", show_default=True, help="Of the learning rate: cosine, linear or constant.")
@click.option(
    "--warmup",
    type=FractionType(),
    default=0.1,
    show_default=True,
    help="Share of a round's steps in which the learning rate rises.",
)
@click.option("--weight-decay", type=float, default=1e-2, show_default=True, help="As the optimiser takes it.")
@batch_size_option
@click.option("--clip", type=float, default=1.0, show_default=True, help="Largest norm of the gradients; 0 for none.")
@click.option(
    "--distillation", type=FractionType(), default=0.5, show_default=True, help="Weight of the dense model's outputs."
)
@click.option("--temperature", type=float, default=2.0, show_default=True, help="Of distillation.")
@click.option(
    "--hints",
    type=ListType(str, "layer.1,layer.3", may_be_empty=True),
    default="",
    metavar="M,M,…",
    help="Modules whose outputs shall be like the dense model's.",
)
@click.option(
    "--patience", type=int, default=0, show_default=True, help="Epochs without progress that end a round; 0: never."
)
@click.option("--validation", type=FractionType(), default=0.1, show_default=True, help="Held back for --patience.")
@click.option(
    "--recalibrate/--no-recalibrate",
    default=True,
    show_default=True,
    help="Estimate the statistics of batch normalisation anew before training and after.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Of the order in which training examples are drawn, their augmentation, and dropout.",
)
@click.option(
    "--from", "start", metavar="RUN", help="Roll back: go on after a round of this run; it counts among the rounds."
)
@click.option("--round", "number", type=int, help="Which one of --from.  [default: its last]")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write a workload file (.py) of the best, else last, round."
)
@within_option("The drop that is accepted of the best round")
@samples_option("all", "after each round")
@device_option
@log_option
@detach_option
def recover(
    model: str,
    plan: Path | None,
    final: float,
    initial: float,
    iterations: int | None,
    schedule: str,
    given: tuple[float, ...] | None,
    spread: Any,
    criterion: str,
    start: str | None,
    number: int | None,
    out: Path | None,
    within: float | None,
    samples: Any,
    device: str,
    log: str | None,
    detach: bool,
    workspace: Path,
    as_json: bool,
    hints: tuple[str, ...],
    **fine_tuning: Any,
) -> None:
    """Prune MODEL in rounds and fine-tune after each with the masks held; every round is measured and kept.

    With the file PLAN every target ends with its own sparsity; else --final is of all weights together.
    """
    from core.jobs.launch import start_recover
    from core.plans.plan import SparsityPlan
    from core.plans.schedules import Schedule, usual_rounds, usual_rounds_of_plan
    from core.recovery.request import RecoverRequest
    from core.recovery.settings import FineTuning

    check_log(log, detach)
    _refuse_idle(plan, given, final, fine_tuning)
    given = given or ()
    cut_by = SparsityPlan.read(plan) if plan is not None else None
    if cut_by is not None:
        usual = usual_rounds_of_plan(schedule, initial, cut_by)
    else:
        usual = usual_rounds(schedule, initial, final) if final else 1
    n = iterations if iterations is not None else usual
    how = Schedule("given", given=given) if given else Schedule(schedule, initial, final, n)
    settings = FineTuning(hints=hints, **fine_tuning)
    store = open_store(workspace)
    if cut_by is not None:
        check_own(store, model, cut_by)
    tolerance = None if within is None else in_metric_unit(store, model, within)
    request = RecoverRequest(
        model,
        how,
        settings,
        cut_by.to_document() if cut_by is not None else None,
        spread,
        criterion,
        samples,
        device,
        tolerance,
        _start_of(store, start, number),
    )
    if out is not None:
        _check_out(out, detach)
    run, is_new = start_recover(store, request)
    follow(store, run, is_new, detach, as_json, log)
    if out is not None:
        _write_workload(store, run.id, out)


def _refuse_idle(
    plan: Path | None, given: tuple[float, ...] | None, final: float, fine_tuning: Mapping[str, Any]
) -> None:
    """Refuse options that somebody gave and that would have no effect beside others."""
    if plan is not None and (idle := typed("final", "spread", "criterion")):
        raise SecateurError(f"{idle[0]} says what the plan {plan} says already; leave one of them out")
    if typed("given") and not given:
        raise SecateurError("--given is empty; give sparsities after each round, such as 0.5,0.8,0.9")
    if given and (idle := typed("schedule", "iterations", "final", "initial")):
        raise SecateurError(f"--given says every round, so {idle[0]} would have no effect; leave one of them out")
    if not (final or given or plan):
        refuse_idle("--final 0 only trains; nothing is cut", "spread", "criterion")
    check_length()
    if not fine_tuning["distillation"]:
        refuse_idle("--distillation 0 looks at none of the dense model's outputs", "temperature")
    if not fine_tuning["patience"]:
        refuse_idle("nothing is held back without --patience; give --patience 2, say", "validation")


def _check_out(out: Path, detach: bool) -> None:
    if detach:
        raise SecateurError("--out is written when the recovery is done, and --detach does not wait; leave one out")
    if out.suffix != ".py":
        raise SecateurError(f"--out is a workload file and ends in .py, got {out}; try {out}.py")
    if out.exists():
        raise SecateurError(f"--out {out} exists already; choose another name")
    if not out.parent.is_dir():
        raise SecateurError(f"--out {out}: there is no folder {out.parent}; make it first")


def _write_workload(store: "RunStore", run_id: str, out: Path) -> None:
    from core.jobs.known.kept_rounds import recovered_text

    run = store.get(run_id)
    text = recovered_text(store, run, (run.result or {}).get("best"))
    write_text(out, text, "rounds are kept: the same command again")
    click.echo(f"Wrote {out}: sweep, profile or export it like any model.", err=True)


def _start_of(store: "RunStore", start: str | None, number: int | None) -> str | None:
    """Path of the checkpoint that `--from` and `--round` name."""
    from core.jobs.known.kept_rounds import round_of

    if start is not None:
        return str(round_of(store, start, number))
    if number is not None:
        raise SecateurError("--round says which round of --from RUN; name the run, too")
    return None
