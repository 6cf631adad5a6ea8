"""The command that measures sizes and times."""

from pathlib import Path

import click
from click.core import ParameterSource

from core.cli.command import command, say
from core.cli.following import follow
from core.cli.opening import check_own, open_store
from core.cli.options import ListType, check_pythons, detach_option, device_option, pythons_option, refuse_idle
from core.errors import SecateurError
from core.profiling.pays.request import TIMED_NAMES
from core.profiling.request import ENGINE_NAMES, ProfileRequest
from core.profiling.stairs.request import StairsRequest

DEFAULTS, STAIRS = ProfileRequest(), StairsRequest()


@command(
    "secateur profile fashion-vit half.json  # dense, masked and shrunk in turn",
    "secateur profile fashion-vit --savings 0.5,0.9  # what cutting each target alone saves",
    "secateur profile fashion-resnet --widths --engines onnx,openvino  # against width, group by group",
    "secateur profile fashion-vit plan.json --batch 1,64 --threads 1,2 --engines eager,compile,onnx",
)
@click.argument("model")
@click.argument("plan", required=False, type=click.Path(path_type=Path))
@click.option("--plan", "old_plan", type=click.Path(path_type=Path), hidden=True, help="PLAN, as it was given before.")
@click.option(
    "--batch", type=ListType(int, "1,64"), metavar="N,N,…", help="Examples per forward pass.  [default: 1,64]"
)
@click.option(
    "--threads",
    type=ListType(int, "1,2"),
    metavar="N,N,…",
    help="Threads within one operation.  [default: as many as torch takes]",
)
@click.option(
    "--engines",
    type=ListType(str, "eager,onnx"),
    metavar="NAME,…",
    help=f"Of {', '.join(ENGINE_NAMES)}; with --widths of {', '.join(TIMED_NAMES)}.  "
    f"[default: {','.join(DEFAULTS.engines)}; with --widths {','.join(STAIRS.engines)}]",
)
@click.option(
    "--rounds",
    type=int,
    default=DEFAULTS.rounds,
    show_default=True,
    help="How often each model is timed at a setting; all take turns.",
)
@click.option(
    "--seconds",
    type=float,
    default=DEFAULTS.seconds,
    show_default=True,
    help="Of timing at one setting, after which no new round begins.",
)
@click.option(
    "--savings",
    type=ListType(float, "0.5,0.9"),
    metavar="S,S,…",
    help="Also time every target cut alone at these sparsities: what does it save?",
)
@click.option(
    "--widths",
    is_flag=True,
    help="In place of all that: milliseconds against width, of each coupled group and attention in each engine.",
)
@click.option(
    "--export-costs",
    "export_to",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="In place of measuring here: models of every width for a device of yours, with a script that measures them "
    "there and the table that `--costs` takes.",
)
@pythons_option
@device_option
@detach_option
@click.pass_context
def profile(
    ctx: click.Context,
    model: str,
    plan: Path | None,
    old_plan: Path | None,
    batch: tuple[int, ...] | None,
    threads: tuple[int, ...] | None,
    engines: tuple[str, ...] | None,
    rounds: int,
    seconds: float,
    savings: tuple[float, ...] | None,
    widths: bool,
    export_to: Path | None,
    pythons: tuple[tuple[str, str], ...],
    device: str,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Measure what MODEL costs: parameters, FLOPs, bytes, memory and milliseconds, and where the time goes.

    With the file PLAN the pruned model is timed in turn with the dense one, so that the ratio of the two holds although
    the machine does other things too.

    With --widths every coupled group and attention is narrowed alone, to an even grid of widths and some beside it, and
    timed in turn with the dense model: `--cost milliseconds --engine ENGINE` and `--align auto` take these steps.
    Every engine takes some seconds for each of a hundred models; what is measured is kept, and `secateur resume` goes
    on.
    """
    from core.jobs.launch import start_profile, start_stairs
    from core.plans.plan import SparsityPlan

    if export_to is not None:
        refuse_idle(
            "--export-costs writes models for another device; give --engines and --python with it, nothing else",
            "plan", "old_plan", "widths", "savings", "device", "batch", "threads", "rounds", "seconds", "detach",
        )  # fmt: skip
        check_pythons(pythons, engines or STAIRS.engines, "--engines")
        _export_costs(model, engines or STAIRS.engines, dict(pythons), export_to)
        return
    if widths:
        if plan is not None or old_plan is not None or savings or device != "cpu":
            raise SecateurError(
                "--widths narrows one target at a time, on the CPU; leave out PLAN, --savings and --device"
            )
        for name, given in (("batch", batch), ("threads", threads)):
            if len(given or ()) > 1:
                raise SecateurError(f"--widths measures at one --{name}; give one number in place of {given}")
        is_given = {
            name: ctx.get_parameter_source(name) is not ParameterSource.DEFAULT for name in ("rounds", "seconds")
        }
        asked = StairsRequest(
            engines or STAIRS.engines, (threads or (1,))[0], (batch or (1,))[0],
            rounds if is_given["rounds"] else STAIRS.rounds, seconds if is_given["seconds"] else STAIRS.seconds,
            pythons,
        )  # fmt: skip
        check_pythons(pythons, asked.engines, "--engines")
        store = open_store(workspace)
        follow(store, *start_stairs(store, model, asked), detach, as_json)
        return
    if pythons:
        raise SecateurError("--python names where engines of --widths are installed; give --widths too")
    request = ProfileRequest(
        batch or DEFAULTS.batch_sizes, threads or DEFAULTS.threads, engines or DEFAULTS.engines, rounds, seconds,
        savings or (), device,
    )  # fmt: skip
    if old_plan is not None:
        if plan is not None:
            raise click.UsageError("the plan is given twice; leave --plan out")
        say(f"--plan is an argument now: secateur profile {model} {old_plan}; the old spelling still works")
        plan = old_plan
    chosen = SparsityPlan.read(plan) if plan else None
    store = open_store(workspace)
    if chosen is not None:
        check_own(store, model, chosen)
    follow(store, *start_profile(store, model, chosen, request), detach, as_json)


def _export_costs(model: str, engines: tuple[str, ...], pythons: dict[str, str], folder: Path) -> None:
    from core.profiling.stairs.device import export_costs
    from core.workload.loading import canonical_ref, load_workload

    if len(engines) != 1:
        raise SecateurError(f"a table is of one engine; give --engines one of {', '.join(engines)}")
    workload = load_workload(canonical_ref(model))
    for line in export_costs(workload, engines[0], folder, pythons.get(engines[0]), say):
        say(f"left out: {line}")
    say(f"Wrote {folder}: copy it to the device, run measure.py there, and give costs.csv to `--costs`.")
