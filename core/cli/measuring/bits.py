"""The command that measures pruning × quantization, target by target."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.opening import open_store
from core.cli.options import (
    ListType,
    asked_shard,
    criterion_option,
    detach_option,
    device_option,
    effort_options,
    layers_option,
    samples_option,
    shard_option,
)
from core.cli.tolerance import asked_drop, drop_option
from core.quantization.request import MAP_BITS, MAP_SPARSITIES, QuantizationRequest


@command(
    "secateur bits fashion-vit  # every layer rounded to 8, 4, 3 and 2 bits, cut, and both",
    "secateur bits fashion-vit --bits 4 --sparsities 0.5 --layers blocks.0",
)
@click.argument("model")
@click.option(
    "--bits",
    type=ListType(int, "8,4"),
    default=",".join(map(str, MAP_BITS)),
    show_default=True,
    metavar="B,B,…",
    help="Of the weights, each from 2 to 8.",
)
@click.option(
    "--sparsities",
    type=ListType(float, "0.5,0.8", may_be_empty=True),
    default=",".join(map(str, MAP_SPARSITIES)),
    show_default=True,
    metavar="S,S,…",
    help="At which each layer is also cut, alone and before it is quantized; empty for quantization alone.",
)
@layers_option(heads=False)
@samples_option(None, "to use")
@criterion_option
@drop_option(
    "--within",
    "Drop that is accepted: {unit}.  [default: one point of a fraction, else a twentieth of the metric]",
    old="--tolerance",
)
@device_option
@effort_options("cell")
@shard_option
@detach_option
def bits(
    model: str,
    bits: tuple[int, ...],
    sparsities: tuple[float, ...],
    layers: str,
    samples: Any,
    criterion: str,
    within: float | None,
    tolerance: float | None,
    device: str,
    seed: int,
    replay: bool,
    threads: int | None,
    memory: float | None,
    shard: str | None,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Quantize each layer of MODEL alone, to several numbers of bits, as it is and cut: does who tolerates one tolerate
    both?

    Weights are rounded, symmetric per output channel; what is calculated with stays floating point. What a sweep on the
    same samples and seed measured is read back.
    """
    from core.jobs.launch import start_bits

    given = within if tolerance is None else tolerance  # in what unit, see below
    request = QuantizationRequest(
        model,
        bits,
        sparsities,
        layers,
        samples,
        criterion,
        given,
        seed,
        device,
        replay,
        threads,
        memory,
        asked_shard(shard),
    )
    store = open_store(workspace)
    accepted = asked_drop(store, model, "--within", within, "--tolerance", tolerance)
    follow(store, *start_bits(store, replace(request, tolerance=accepted)), detach, as_json)
