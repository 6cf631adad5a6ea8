"""The command that measures sizes and times."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from core.cli.following import follow, open_store
from core.cli.options import device_option, json_option, workspace_option
from core.profiling.request import ENGINE_NAMES, ProfileRequest

DEFAULTS = ProfileRequest()


def _several(of: Callable[[str], Any], example: str) -> Callable[..., tuple[Any, ...] | None]:
    """A callback that reads values separated by commas."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[Any, ...] | None:
        if value is None:
            return None
        try:
            found = tuple(of(word) for word in value.replace(",", " ").split())
        except ValueError:
            found = ()
        if not found:
            raise click.BadParameter(f"expected values such as {example}, got {value!r}")
        return found

    return read


@click.command()
@click.argument("model")
@click.option("--plan", type=click.Path(path_type=Path), help="Also measure what the plan in this file makes of MODEL.")
@click.option(
    "--batch", callback=_several(int, "1,64"), metavar="N,N,…", help="Examples per forward pass.  [default: 1,64]"
)
@click.option(
    "--threads",
    callback=_several(int, "1,2"),
    metavar="N,N,…",
    help="Threads within one operation; by default as many as torch takes.",
)
@click.option(
    "--engines",
    callback=_several(str, "eager,onnx"),
    metavar="NAME,…",
    help=f"Of {', '.join(ENGINE_NAMES)}.  [default: {','.join(DEFAULTS.engines)}]",
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
    callback=_several(float, "0.5,0.9"),
    metavar="S,S,…",
    help="Also time every target cut alone at these sparsities: what does it save?",
)
@device_option
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@workspace_option
@json_option
def profile(
    model: str,
    plan: Path | None,
    batch: tuple[int, ...] | None,
    threads: tuple[int, ...] | None,
    engines: tuple[str, ...] | None,
    rounds: int,
    seconds: float,
    savings: tuple[float, ...] | None,
    device: str,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Measure what MODEL costs: parameters, FLOPs, bytes, memory and milliseconds, and where the time goes.

    With --plan the pruned model is timed in turn with the dense one, so that the ratio of the two holds although the
    machine does other things too.
    """
    from core.jobs.launch import start_profile
    from core.plans.plan import SparsityPlan

    request = ProfileRequest(
        batch or DEFAULTS.batch_sizes, threads or DEFAULTS.threads, engines or DEFAULTS.engines, rounds, seconds,
        savings or (), device,
    )  # fmt: skip
    chosen = SparsityPlan.read(plan) if plan else None
    store = open_store(workspace)
    follow(store, *start_profile(store, model, chosen, request), detach, as_json)
