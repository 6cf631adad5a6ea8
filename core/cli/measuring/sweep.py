"""The command that measures what every cut costs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.opening import open_store
from core.cli.options import (
    CRITERION_HELP,
    ListType,
    align_option,
    asked_shard,
    check_log,
    detach_option,
    device_option,
    effort_options,
    layers_option,
    log_option,
    ray_option,
    refuse_idle,
    repair_option,
    samples_option,
    shard_option,
)
from core.cli.tolerance import asked_drop, drop_option
from core.errors import SecateurError


@command(
    "secateur sweep fashion-vit  # a table at the end",
    "secateur sweep fashion-vit --layers 'blocks.0' --sparsities 0.5,0.9 --samples all",
    "secateur sweep fashion-vit --dry-run  # try every layer once, and tell what the sweep would cost",
    "secateur sweep fashion-vit --mode tolerance --within 1  # the most that each layer can lose within one point",
    "secateur sweep fashion-vit --mode race  # the whole map; each cell stops when it is decided",
    "secateur sweep fashion-vit --blocks  # also skip every block: how deep must it be?",
    "secateur sweep fashion-vit --channels --align 8  # also channels, in all layers that they run through",
    "secateur sweep fashion-vit --patterns 2:4,16x16  # also weights in shapes that hardware can use",
    "secateur sweep fashion-vit --criteria magnitude,wanda  # which weights go",
    "secateur sweep fashion-vit --shard 2/8  # one of eight machines' parts; then merge, and leave --shard out",
    "secateur sweep fashion-vit --ray 10.0.0.7:6379  # on the cores of a Ray cluster",
    "secateur sweep fashion-vit --repair least-squares  # what it costs once what stays makes up for it",
)
@click.argument("model")
@click.option(
    "--sparsities",
    type=ListType(float, "0.5,0.9"),
    metavar="S,S,…",
    help="Fractions to remove, in [0, 1).  [default: 0.1 … 0.9, 0.95]",
)
@layers_option()
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
@align_option
@click.option("--blocks/--no-blocks", default=False, show_default=True, help="Also skip every block, one at a time.")
@samples_option(None, "to use")
@click.option(
    "--criteria",
    "--criterion",
    default="magnitude",
    show_default=True,
    type=ListType(str, "magnitude,wanda"),
    metavar="C,C,…",
    help=f"{CRITERION_HELP} Several to compare them.",
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
    "tolerance: only what it takes to find the largest sparsity within the accepted drop.",
)
@drop_option(
    "--within",
    "Drop that is accepted: {unit}.  [default: one point of a fraction, else a twentieth of the metric]",
    old="--tolerance",
)
@drop_option("--interval", "race: stop a cell whose interval is as narrow as this: {unit}.", old="--width")
@click.option(
    "--rule",
    type=click.Choice(["census", "calibrated", "sampling"]),
    default="census",
    show_default=True,
    help="race, tolerance: which examples are read. census: all that the dense model is least sure of, of the rest a "
    "random sample, where the metric tells how sure it is; and that none can gain, where it is held against the dense "
    "model. calibrated: fewer; what is not read is forecast, without a guarantee. sampling: all at random, and nothing "
    "is known of them.",
)
@effort_options("cell", replay=None)
@click.option("--dry-run", is_flag=True, help="Try every target once on a few examples and tell what it would cost.")
@click.option(
    "--patterns",
    default="",
    type=ListType(str, "2:4,4x4", may_be_empty=True),
    metavar="P,P,…",
    help="Also cut every layer in these: 2:4 keeps 2 of every 4 weights, 4x4 removes whole tiles at every sparsity.",
)
@repair_option("Repair each cut before it is measured")
@shard_option
@ray_option
@log_option
@detach_option
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
    align: Any,
    mode: str,
    rule: str,
    within: float | None,
    tolerance: float | None,
    interval: float | None,
    width: float | None,
    seed: int,
    dry_run: bool,
    replay: bool | None,
    threads: int | None,
    memory: float | None,
    patterns: tuple[str, ...],
    repair: str | None,
    shard: str | None,
    ray: str | None,
    log: str | None,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Measure what every cut of MODEL costs: layers × sparsities, and every attention head."""
    from core.jobs.launch import start_sweep
    from core.sensitivity.request import DEFAULT_SPARSITIES, SweepRequest
    from core.sensitivity.search.ray_address import check_there

    check_log(log, detach)
    if dry_run:
        refuse_idle("--dry-run measures no cell; leave one of them out", "log")
    if ray is not None:
        check_there()
    if align == "auto":
        raise SecateurError(
            "cells are measured for every engine, so a sweep has no steps of one; leave --align out here, and give "
            "--align auto to plan, solve, minimise or refine"
        )
    if align != 1 and not channels:
        refuse_idle("no channels are cut, whose number it rounds; give --channels with it", "align")
    if not (weights or channels or patterns):
        refuse_idle("heads and blocks go whole; add --weights, --channels or --patterns", "sparsities", "criteria")
    chosen = DEFAULT_SPARSITIES if sparsities is None else sparsities
    given = (
        within if tolerance is None else tolerance,
        interval if width is None else width,
    )  # units: see below
    request = SweepRequest(
        model, chosen, layers, heads, samples, criteria, seed, device,  # type: ignore[arg-type]
        mode, *given, replay, threads, memory, dry_run, blocks, preview,  # type: ignore[arg-type]
        channels, align, weights, patterns, repair, rule, asked_shard(shard), ray,  # type: ignore[arg-type]
    )  # fmt: skip
    store = open_store(workspace)
    accepted = asked_drop(store, model, "--within", within, "--tolerance", tolerance)
    narrow = asked_drop(store, model, "--interval", interval, "--width", width)
    follow(store, *start_sweep(store, replace(request, tolerance=accepted, width=narrow)), detach, as_json, log)
