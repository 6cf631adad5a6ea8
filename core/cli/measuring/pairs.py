"""The command that measures cuts two at a time."""

from pathlib import Path

import click

from core.cli.following import follow, open_store
from core.cli.options import FractionType, device_option, effort_options, json_option, samples_option, workspace_option


@click.command()
@click.argument("model")
@click.option(
    "--sparsity",
    type=FractionType(),
    default=0.5,
    show_default=True,
    help="Fraction to remove from each layer, in (0, 1).",
)
@click.option(
    "--layers",
    default="",
    metavar="REGEX",
    help="Only targets whose name matches; a head is ATTENTION:NUMBER, so : alone takes the heads.",
)
@click.option("--heads/--no-heads", default=True, show_default=True, help="Attention heads too.")
@samples_option(None, "Evaluation examples to use; by default what the workload says.")
@click.option("--criterion", default="magnitude", show_default=True, help="How the weights are chosen.")
@device_option
@effort_options("pair")
@click.option("--max-pairs", type=int, help="Refuse more pairs than this.  [default: 2000]")
@workspace_option
@json_option
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
        replay, threads, memory, MAX_PAIRS if max_pairs is None else max_pairs,
    )  # fmt: skip
    store = open_store(workspace)
    follow(store, *start_pairs(store, request), detach, as_json)
