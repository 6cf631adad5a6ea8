"""The command that measures cuts two at a time."""

from pathlib import Path

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.opening import open_store
from core.cli.options import (
    FractionType,
    asked_shard,
    criterion_option,
    detach_option,
    device_option,
    effort_options,
    layers_option,
    samples_option,
    shard_option,
)


@command("secateur pairs fashion-vit --layers :  # cuts two at a time, here heads: do their drops add up?")
@click.argument("model")
@click.option(
    "--sparsity",
    type=FractionType(),
    default=0.5,
    show_default=True,
    help="Fraction to remove from each layer, in (0, 1).",
)
@layers_option()
@click.option("--heads/--no-heads", default=True, show_default=True, help="Attention heads too.")
@samples_option(None, "to use")
@criterion_option
@device_option
@effort_options("pair")
@click.option("--max-pairs", type=int, help="Refuse more pairs than this.  [default: 2000]")
@shard_option
@detach_option
def pairs(
    model: str,
    sparsity: float,
    layers: str,
    heads: bool,
    samples: object,
    criterion: str,
    device: str,
    seed: int,
    max_pairs: int | None,
    replay: bool,
    threads: int | None,
    memory: float | None,
    shard: str | None,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Measure every two cuts of MODEL at once: do the drops of single cuts add up?

    n targets make n (n - 1) / 2 pairs. What a sweep on the same samples and seed measured alone is read back.
    """
    from core.jobs.launch import start_pairs
    from core.sensitivity.pairs import MAX_PAIRS, PairsRequest

    request = PairsRequest(
        model, sparsity, layers, heads, samples, criterion, seed, device,  # type: ignore[arg-type]
        replay, threads, memory, MAX_PAIRS if max_pairs is None else max_pairs, asked_shard(shard),
    )  # fmt: skip
    store = open_store(workspace)
    follow(store, *start_pairs(store, request), detach, as_json)
