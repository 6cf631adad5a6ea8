"""Where zeros alone are time: `python -m tests.benchmarks.zeros_pay [models…] [--engines …] [--python NAME=PATH,…]`.

Models whose Linear layers have 80, 90 and 95 % zeros, smallest first, the same shapes, in every engine of
`secateur pays`, timed in turn with the same engine's dense model, one thread:

- `linear`: three layers of 1024 × 1024 with ReLU, 64 rows; random weights, single zeros;
- `tiles`: the same with tiles of 32 × 32 that are zero as a whole, one row;
- `mlp`: the MLPs of MiniLM's six layers (384 to 1,536 and back), one after the other, on 128 rows of what they get;
- `minilm`: the whole encoder, 4 sentences of 32 tokens. Both need what tests/benchmarks/minilm.py names.

The zeros are of one shot: times do not know what a model is good for, so nothing is trained.
"""

import copy
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from core import numbers
from core.engines.adapters.registry import ADAPTERS
from core.engines.engine import EngineUnavailable
from core.profiling.paired import median_interval, quartiles
from core.profiling.pays.report import Row
from core.profiling.pays.request import ENGINE_NAMES
from core.profiling.shipped.turns import InTurns, expected_of
from tests.benchmarks.record import Cell, Column, Table, interval, recordable, write_record

ZEROS = (0.8, 0.9, 0.95)
WIDTH, TILE = 1024, 32
DENSE = "dense"
COLUMNS = (
    Column("engine"), Column("zeros", form=".0%"), Column("dense", "ms", ".3f"), Column("with zeros", "ms", ".3f"),
    Column("times as fast", "×", ".2f"), Column("verdict"),
)  # fmt: skip


def main() -> None:
    """Print a line for each engine and share of zeros of each model."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS), help=f"of {', '.join(MODELS)}")
    parser.add_argument("--engines", default=",".join(ENGINE_NAMES))
    parser.add_argument("--python", default="", help="interpreters of engines that have an environment of their own")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60.0, help="of timing for each engine and model")
    recordable(parser)
    options = parser.parse_args()
    pythons = dict(one.split("=", 1) for one in options.python.split(",") if one)
    tables = []
    for name in options.models:
        words, made = MODELS[name]
        try:
            model, inputs, cut = made()
        except ImportError as error:
            parser.error(f"{name} needs what tests/benchmarks/minilm.py names: {error}")
        table = Table(COLUMNS, title=f"{name}: {words}", rows=[])
        for engine in options.engines.split(","):
            found = rows(engine, pythons.get(engine), model, inputs, cut, options.rounds, options.seconds)
            for row in found:
                print(name, *(line_of(row)), sep="  ", flush=True)
                table.rows.append(row)
        tables.append(table)
    write_record(
        options,
        "Where zeros alone are time",
        "In which engine is a model of the same shapes faster for having 80 to 95 % zeros?",
        tables,
        "Times as fast is the same engine's dense model / the one with zeros, of the same turn, the median with its "
        "interval; only what lies above 1 with all of it, beyond 5 % for engines that keep a model in one place, is "
        "called faster.",
        (
            "One thread.",
            "The sparse engine multiplies a Linear layer as compressed rows, or as tiles, where that was quicker on "
            "the layer's own input; with no layer that pays it refuses, and the row says so.",
        ),
    )


def rows(
    name: str, python: str | None, model: nn.Module, inputs: tuple[Tensor, ...],
    cut: Callable[[Tensor, float], Tensor], n: int, seconds: float,
) -> list[list[Cell]]:  # fmt: skip
    """Of one engine a row for each of `ZEROS`, with numbers or with why there are none."""
    adapter = ADAPTERS[name]
    with tempfile.TemporaryDirectory() as folder:
        engine = InTurns(name, Path(folder, "engine"), 1, python)
        try:
            title = f"{adapter.title} {engine.version()}"
        except EngineUnavailable as error:
            return [[adapter.title, None, None, None, None, str(error)]]
        refused: dict[str, str] = {}
        with engine:
            for label, one in labelled(model, cut):
                try:
                    engine.put(label, expected_of(one, inputs, Path(folder, label)), is_base=label == DENSE)
                except EngineUnavailable as error:
                    refused[label] = str(error)
            times, died = engine.times(n, seconds)
    return [
        _row(title, share, times, {**refused, **died}, Row(name, None, "masked", margin=engine.margin,
             uses_zeros=adapter.zeros.used, zeros=adapter.zeros.text))
        for share in ZEROS
    ]  # fmt: skip


def _row(
    title: str, share: float, times: Mapping[str, Sequence[float]], why: Mapping[str, str], blank: Row
) -> list[Cell]:
    label = f"{share:.0%}"
    if DENSE in why or label in why:
        dense = 1000 * quartiles(times[DENSE])[1] if DENSE in times else None
        return [title, share, dense, None, None, why.get(label) or why[DENSE]]
    ratio = median_interval([a / b for a, b in zip(times[DENSE], times[label], strict=True)])
    verdict = Row(**{**vars(blank), "ratio": ratio}).verdict
    middle = [1000 * quartiles(times[one])[1] for one in (DENSE, label)]
    return [title, share, *middle, interval(ratio), verdict]


def line_of(row: Sequence[Cell]) -> Iterator[str]:
    """Cells as they are printed."""
    title, share, dense, sparse, ratio, verdict = row
    yield str(title)
    if isinstance(share, float):
        yield numbers.share_text(share)
    if isinstance(ratio, dict):
        yield f"{dense:.3f} ms, {sparse:.3f} ms, {ratio['value']:.2f} × [{ratio['low']:.2f}, {ratio['high']:.2f}]"
    yield str(verdict)


def labelled(model: nn.Module, cut: Callable[[Tensor, float], Tensor]) -> Iterator[tuple[str, nn.Module]]:
    """The model, then a copy for each of `ZEROS` whose Linear weights are masked."""
    yield DENSE, model
    for share in ZEROS:
        one = copy.deepcopy(model)
        with torch.no_grad():
            for layer in one.modules():
                if isinstance(layer, nn.Linear):
                    layer.weight *= cut(layer.weight, share)
        yield f"{share:.0%}", one


def smallest(weight: Tensor, share: float) -> Tensor:
    """A mask, True = kept, without this share of the entries, the smallest."""
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort()[: round(share * weight.numel())]] = False
    return mask.view_as(weight)


def smallest_tiles(weight: Tensor, share: float) -> Tensor:
    """A mask, True = kept, without this share of the tiles of `TILE` × `TILE`, those of the smallest norm."""
    norms = weight.unflatten(0, (-1, TILE)).unflatten(2, (-1, TILE)).square().sum((1, 3))
    return smallest(norms, share).repeat_interleave(TILE, 0).repeat_interleave(TILE, 1)


def linear() -> nn.Module:
    """Three large layers."""
    torch.manual_seed(0)
    layers = [part for _ in range(3) for part in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    model = nn.Sequential(*layers[:-1]).eval()
    for layer in layers[::2]:
        nn.init.kaiming_normal_(layer.weight)  # what is smaller in every layer would end in rounding
    return model


class Mlps(nn.Module):
    """The MLPs of an encoder's layers with their residuals and norms, and no attention."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        layers = list(encoder.get_submodule("encoder.layer").children())
        self.up = nn.ModuleList(layer.intermediate.dense for layer in layers)
        self.down = nn.ModuleList(layer.output.dense for layer in layers)
        self.norm = nn.ModuleList(layer.output.LayerNorm for layer in layers)

    def forward(self, x: Tensor) -> Tensor:
        """`x`: (rows, width)."""
        for up, down, norm in zip(self.up, self.down, self.norm, strict=True):
            x = norm(x + down(nn.functional.gelu(up(x))))
        return x


Made = tuple[nn.Module, tuple[Tensor, ...], Callable[[Tensor, float], Tensor]]


def _minilm() -> Made:
    from tests.benchmarks.minilm import workload

    found = workload()
    return found.model.eval(), tuple(x[:4] for x in found.evaluation.inputs), smallest


def _mlp() -> Made:
    model, inputs, cut = _minilm()
    seen: list[Tensor] = []
    first = model.get_submodule("encoder.encoder.layer.0.intermediate.dense")
    handle = first.register_forward_pre_hook(lambda layer, given: seen.append(given[0].detach().flatten(0, 1)))
    with torch.no_grad():
        model(*inputs)
    handle.remove()
    return Mlps(copy.deepcopy(model.get_submodule("encoder"))).eval(), (seen[0],), cut


MODELS: Mapping[str, tuple[str, Callable[[], Made]]] = {
    "linear": (
        "three Linear layers of 1024 × 1024, single zeros, 64 rows",
        lambda: (linear(), (torch.randn(64, WIDTH),), smallest),
    ),
    "tiles": (
        "three Linear layers of 1024 × 1024, tiles of 32 × 32, one row",
        lambda: (linear(), (torch.randn(1, WIDTH),), smallest_tiles),
    ),
    "mlp": ("the MLPs of MiniLM, trained weights, single zeros, 128 rows", _mlp),
    "minilm": ("MiniLM, trained weights, single zeros, 4 sentences of 32 tokens", _minilm),
}


if __name__ == "__main__":
    main()
