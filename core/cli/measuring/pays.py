"""The command that compares a plan in several engines."""

from pathlib import Path

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.opening import check_own, open_store
from core.cli.options import ListType, check_pythons, detach_option, pythons_option
from core.profiling.pays.request import ENGINE_NAMES, PaysRequest

DEFAULTS = PaysRequest()


@command(
    "secateur pays fashion-resnet half.json  # every engine that is installed, and how to get the others",
    "secateur pays fashion-resnet half.json --engines onnx,openvino --batch 8 --threads 2",
    "secateur pays fashion-resnet half.json --engines litert --python litert=/opt/litert/bin/python",
)
@click.argument("model")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--engines",
    type=ListType(str, "onnx,openvino"),
    default=",".join(ENGINE_NAMES),
    metavar="NAME,…",
    help=f"Of {', '.join(ENGINE_NAMES)}.  [default: all]",
)
@click.option("--threads", type=int, default=1, show_default=True, help="Threads within one operation.")
@click.option("--batch", type=int, default=1, show_default=True, help="Examples per forward pass.")
@click.option(
    "--rounds",
    type=int,
    default=DEFAULTS.rounds,
    show_default=True,
    help="How often each model of an engine has its turn.",
)
@click.option(
    "--seconds",
    type=float,
    default=DEFAULTS.seconds,
    show_default=True,
    help="Of timing in one engine, after which no new round begins.",
)
@pythons_option
@detach_option
def pays(
    model: str,
    plan: Path,
    engines: tuple[str, ...],
    threads: int,
    batch: int,
    rounds: int,
    seconds: float,
    pythons: tuple[tuple[str, str], ...],
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Compare what PLAN makes of MODEL in the engines that people ship to: bytes and milliseconds, side by side.

    Each engine is given the dense, the masked and the shrunk model, as float32 and in int8, all timed in turn; what it
    cannot do is told with the reason. Each runs in a process of its own: one that crashes is a row of the table.
    """
    from core.jobs.launch import start_pays
    from core.plans.plan import SparsityPlan

    request = PaysRequest(engines, threads, batch, rounds, seconds, pythons)
    chosen = SparsityPlan.read(plan)
    check_pythons(pythons, engines, "--engines")
    store = open_store(workspace)
    check_own(store, model, chosen)
    follow(store, *start_pays(store, model, chosen, request), detach, as_json)
