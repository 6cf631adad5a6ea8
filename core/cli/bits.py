"""The command that measures pruning × quantization, target by target."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from core import bits_wording, wording
from core.cli.options import FractionType, device_option, json_option, samples_option, workspace_option
from core.cli.tables import new_table, print_table
from core.cli.work import follow, open_store
from core.quantization.request import MAP_BITS, MAP_SPARSITIES, QuantizationRequest

if TYPE_CHECKING:
    from core.quantization.report import QuantizationReport


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
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order in which examples are drawn.")
@click.option(
    "--replay/--no-replay", default=True, show_default=True, help="Compute of a cell only what it changes; same bits."
)
@click.option("--threads", type=int, help="Cells measured at a time; by default one per core.")
@click.option(
    "--memory", type=float, metavar="GB", help="Dense values kept at most; by default a quarter of what is free."
)
@click.option("--detach", is_flag=True, help="Start it and return at once.")
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


def quantization_tables(report: "QuantizationReport") -> None:
    """Drops of targets × ways, and the answers."""
    console = Console(soft_wrap=True, highlight=False)
    if report.dense:
        console.print(f"dense {report.metric.name}: {wording.metric_with_interval(report.metric, report.dense)}")
    ways = list(dict.fromkeys((cell.sparsity, cell.bits) for cell in report.cells))
    alone = [way for way in ways if None in way]
    both = [[way for way in ways if None not in way and way[0] == s] for s in dict.fromkeys(s for s, _ in ways)]
    by_place = {(cell.target, cell.sparsity, cell.bits): cell for cell in report.cells}
    for shown in [alone, *filter(None, both)]:  # all beside each other are too many for a screen
        columns = [bits_wording.way_text(*way) for way in shown]
        table = new_table("target", "weights", *columns, right=("weights", *columns))
        for target, n in dict.fromkeys((cell.target, cell.n_weights) for cell in report.cells):
            cells = [by_place[target, *way] for way in shown]
            table.add_row(target, f"{n:,}", *(bits_wording.cell_text(report, cell) for cell in cells))
        print_table(table)
    for line in bits_wording.answer_lines(report):
        console.print(line)
