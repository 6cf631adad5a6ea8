"""The command that measures what every cut costs."""

from pathlib import Path

import click

from core.cli.following import follow, open_store
from core.cli.options import device_option, json_option, samples_option, workspace_option


def _words(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(value.replace(",", " ").split())


def _sparsities(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        found = tuple(float(word) for word in value.replace(",", " ").split())
    except ValueError:
        found = ()
    if not found:
        raise click.BadParameter(f"expected fractions such as 0.5,0.9, got {value!r}")
    return found


@click.command()
@click.argument("model")
@click.option(
    "--sparsities",
    callback=_sparsities,
    metavar="S,S,…",
    help="Fractions to remove, in [0, 1). Default: 0.1 … 0.9, 0.95.",
)
@click.option(
    "--layers",
    default="",
    metavar="REGEX",
    help="Only targets whose name matches; a head is ATTENTION:NUMBER, so : alone takes the heads.",
)
@click.option(
    "--heads/--no-heads", default=True, show_default=True, help="Also remove every attention head, one at a time."
)
@click.option("--weights/--no-weights", default=True, show_default=True, help="Remove single weights of every layer.")
@click.option(
    "--channels/--no-channels",
    default=False,
    show_default=True,
    help="Also remove channels and neurons, in all layers that they couple.",
)
@click.option(
    "--align", type=int, default=1, show_default=True, help="The channels that stay are a multiple of this, e.g. 8."
)
@click.option("--blocks/--no-blocks", default=False, show_default=True, help="Also skip every block, one at a time.")
@samples_option(None, "Evaluation examples to use; by default what the workload says.")
@click.option(
    "--criteria",
    "--criterion",
    default="magnitude",
    show_default=True,
    callback=_words,
    metavar="C,C,…",
    help="How weights and channels are chosen; several to compare them. `secateur criteria` lists them.",
)
@device_option
@click.option(
    "--preview/--no-preview", default=True, show_default=True, help="First estimate every cell from gradients."
)
@click.option(
    "--mode",
    type=click.Choice(["exact", "race", "tolerance"]),
    default="exact",
    show_default=True,
    help="exact: every cell on all examples. race: every cell until it is decided. "
    "tolerance: only what it takes to find the largest sparsity within the tolerance.",
)
@click.option(
    "--tolerance",
    type=float,
    help="Drop that is accepted, in the metric's unit (0.01 of a fraction is one point). "
    "Default: one point of a fraction, else a twentieth of the metric.",
)
@click.option(
    "--width", type=float, help="race: stop a cell whose interval is as narrow as this, in the metric's unit."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order in which examples are drawn.")
@click.option("--dry-run", is_flag=True, help="Try every target once on a few examples and tell what it would cost.")
@click.option(
    "--replay/--no-replay",
    default=None,
    help="Compute of a cut only what it changes; same bits. Default: where it saves time.",
)
@click.option("--threads", type=int, help="Cells measured at a time; by default one per core.")
@click.option(
    "--memory", type=float, metavar="GB", help="Dense values kept at most; by default a quarter of what is free."
)
@click.option(
    "--patterns",
    default="",
    callback=_words,
    metavar="P,P,…",
    help="Also cut every layer in these: 2:4 keeps 2 of every 4 weights, 4x4 removes whole tiles at every sparsity.",
)
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@workspace_option
@json_option
def sweep(
    model: str,
    sparsities: tuple[float, ...] | None,
    layers: str,
    heads: bool,
    samples: object,
    criteria: tuple[str, ...],
    device: str,
    preview: bool,
    blocks: bool,
    weights: bool,
    channels: bool,
    align: int,
    mode: str,
    tolerance: float | None,
    width: float | None,
    seed: int,
    dry_run: bool,
    replay: bool | None,
    threads: int | None,
    memory: float | None,
    patterns: tuple[str, ...],
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Measure what every cut of MODEL costs: layers × sparsities, and every attention head."""
    from core.jobs.launch import start_sweep
    from core.sensitivity.request import DEFAULT_SPARSITIES, SweepRequest

    chosen = DEFAULT_SPARSITIES if sparsities is None else sparsities
    request = SweepRequest(
        model, chosen, layers, heads, samples, criteria, seed, device,  # type: ignore[arg-type]
        mode, tolerance, width, replay, threads, memory, dry_run, blocks, preview,  # type: ignore[arg-type]
        channels, align, weights, patterns,
    )  # fmt: skip
    store = open_store(workspace)
    follow(store, *start_sweep(store, request), detach, as_json)
