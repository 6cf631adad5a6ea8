"""The command that measures pruning × quantization, target by target."""

from pathlib import Path
from typing import Any

import click

from core.cli.following import follow, open_store
from core.cli.options import FractionType, device_option, effort_options, json_option, samples_option, workspace_option
from core.quantization.request import MAP_BITS, MAP_SPARSITIES, QuantizationRequest


def _several(kind: click.ParamType[Any]) -> Any:
    def read(ctx: click.Context, param: click.Parameter, value: str) -> tuple[Any, ...]:
        return tuple(kind.convert(word, param, ctx) for word in value.replace(",", " ").split())

    return read


@click.command()
@click.argument("model")
@click.option(
    "--bits",
    callback=_several(click.INT),
    default=",".join(map(str, MAP_BITS)),
    show_default=True,
    metavar="B,B,…",
    help="Of the weights, each from 2 to 8.",
)
@click.option(
    "--sparsities",
    callback=_several(FractionType()),
    default=",".join(map(str, MAP_SPARSITIES)),
    show_default=True,
    metavar="S,S,…",
    help="At which each layer is also cut, alone and before it is quantized; empty for quantization alone.",
)
@click.option("--layers", default="", metavar="REGEX", help="Only targets whose name matches.")
@samples_option(None, "Evaluation examples to use; by default what the workload says.")
@click.option("--criterion", default="magnitude", show_default=True, help="How the weights that go are chosen.")
@click.option(
    "--tolerance",
    type=float,
    help="Drop that is accepted, in the metric's unit. Default: one point of a fraction, else a twentieth.",
)
@device_option
@effort_options("cell")
@workspace_option
@json_option
def bits(
    model: str,
    bits: tuple[int, ...],
    sparsities: tuple[float, ...],
    layers: str,
    samples: Any,
    criterion: str,
    tolerance: float | None,
    device: str,
    seed: int,
    replay: bool,
    threads: int | None,
    memory: float | None,
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

    request = QuantizationRequest(
        model, bits, sparsities, layers, samples, criterion, tolerance, seed, device, replay, threads, memory
    )
    store = open_store(workspace)
    follow(store, *start_bits(store, request), detach, as_json)
