"""How a sweep's time grows with the number of layers: `python -m tests.benchmarks.growth [LAYERS …]`.

`--finding`, `--attention` and `--failing` are sizes of models of which coupled groups are found: of a residual stack,
of a transformer, and of one in which every group fails; without LAYERS, nothing is swept.

A residual stack of linear layers; every layer is cut once, on 100 examples, exactly. Every cell costs what lies behind
its layer, so both the naive scan and a replay grow with the square of the depth; the exponent is fitted on a log scale.
Operations this small are not worth replaying, and by default are not: making each layer's function would cost more.
"""

import argparse
import math
import tempfile
import time

import torch
from torch import Tensor, nn

from core import Examples, Workload, accuracy, find_structure, sweep
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

N, WIDTH, HEADS, TOKENS = 100, 64, 4, 4


class Stack(nn.Module):
    """Vectors (n, 64) to logits (n, 64)."""

    def __init__(self, n_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(n_layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + torch.relu(layer(x)) / len(self.layers)
        return x


class Soft(nn.Module):
    """Two layers with a softmax over channels between them, which no cut of the first survives: (n, 64) to (n, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(torch.softmax(self.up(x), -1))


class Block(nn.Module):
    """Of a transformer, attention written out in its `forward`: (n, tokens, 64) to (n, tokens, 64). Four layers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, _ = x.shape
        q, k, v = (
            part.view(n, tokens, HEADS, WIDTH // HEADS).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, -1)
        )
        mixed = torch.softmax(q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5, -1) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(n, tokens, WIDTH))
        return x + self.down(torch.relu(self.up(self.after(x))))


def workload(n_layers: int) -> Workload:
    """Random numbers will do: only time is asked for."""
    torch.manual_seed(0)
    examples = Examples(torch.randn(N, WIDTH), torch.randint(WIDTH, (N,)))
    return Workload(f"stack{n_layers}", Stack(n_layers), examples, accuracy(), batch_size=N)


def seconds(n_layers: int, replay: bool | None) -> float:
    """Of one sweep."""
    with tempfile.TemporaryDirectory() as workspace:
        start = time.perf_counter()
        sweep(workload(n_layers), workspace=workspace, sparsities=(0.5,), replay=replay, preview=False)
        return time.perf_counter() - start


def finding(n_layers: int, kind: str = "residual") -> float:
    """Seconds of the processor that finding what can be cut takes, coupled groups included.

    Args:
        n_layers: of the model.
        kind: `"residual"` stack; `"attention"`, a transformer; `"failing"`: no group of it can be cut, so that each has
            to be tried alone.
    """
    inputs = torch.randn(N, WIDTH)
    if kind == "residual":
        model = workload(n_layers).model
    elif kind == "attention":
        model, inputs = nn.Sequential(*(Block() for _ in range(n_layers // 4))), torch.randn(N, TOKENS, WIDTH)
    else:
        model = nn.Sequential(*(Soft() for _ in range(n_layers // 2)))
    begun = time.process_time()
    find_structure(model, inputs)
    return time.process_time() - begun


def exponent(points: list[tuple[int, float]]) -> float:
    """Of the growth between the two largest."""
    (n0, s0), (n1, s1) = points[-2:]
    return math.log(s1 / s0) / math.log(n1 / n0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layers", nargs="*", type=int, default=None)
    parser.add_argument("--finding", nargs="*", type=int, default=[200, 400, 800, 2000], metavar="LAYERS")
    parser.add_argument("--attention", nargs="*", type=int, default=[], metavar="LAYERS")
    parser.add_argument("--failing", nargs="*", type=int, default=[], metavar="LAYERS")
    recordable(parser)
    options = parser.parse_args()
    options.layers = options.layers or ([] if options.failing or options.attention else [10, 100, 1000])
    rows: list[list[Cell]] = []
    finding(4)
    looked = [(n_layers, finding(n_layers)) for n_layers in options.finding]
    print(f"{'layers':>7}{'finding what can be cut, s of CPU':>36}")
    for n_layers, taken in looked:
        print(f"{n_layers:7}{taken:36.2f}", flush=True)
    found_rows: list[list[Cell]] = [[n_layers, taken] for n_layers, taken in looked]
    if len(looked) > 1:
        found_rows.append(["exponent between the last two", exponent(looked)])
        print(f"exponent{exponent(looked):35.2f}")
    for kind, sizes, what in (
        ("attention", options.attention, "of a transformer with attention written out"),
        ("failing", options.failing, "where every group fails"),
    ):  # printed, not recorded
        taken: list[tuple[int, float]] = []
        for n_layers in sizes:
            taken.append((n_layers, finding(n_layers, kind)))
            ratio = f"{taken[-1][1] / taken[-2][1]:7.2f} times" if len(taken) > 1 else ""
            print(f"{n_layers:7}{taken[-1][1]:12.2f} s of CPU {what}{ratio}", flush=True)
    if not options.layers:
        return
    seconds(4, True)  # warm up
    found: dict[bool | None, list[tuple[int, float]]] = {None: [], False: []}
    print(f"{'layers':>7}{'ours, s':>11}{'full, s':>9}{'ratio':>7}")
    for n_layers in options.layers:
        for replay in (None, False):
            found[replay].append((n_layers, seconds(n_layers, replay)))
        ours, full = found[None][-1][1], found[False][-1][1]
        print(f"{n_layers:7}{ours:11.2f}{full:9.2f}{full / ours:7.2f}", flush=True)
        rows.append([n_layers, ours, full, full / ours])
    if len(options.layers) > 1:
        print(f"exponent{exponent(found[None]):10.2f}{exponent(found[False]):9.2f}")
        rows.append(["exponent between the last two", exponent(found[None]), exponent(found[False]), None])
    columns = (
        Column("layers"), Column("sweep", "s", ".2f"), Column("full passes", "s", ".2f"),
        Column("times as fast", "", ".2f"),
    )  # fmt: skip
    finding_columns = (Column("layers"), Column("finding what can be cut: CPU", "s", ".2f"))
    write_record(
        options, "Growth with depth", "How does a sweep's time grow with the number of layers?",
        [Table(columns, rows), Table(finding_columns, found_rows)],
        f"A residual stack of linear layers of width {WIDTH}, every layer cut once, {N} examples; an exponent of 2 is "
        "the square of the depth.",
        ["Operations this small are not worth replaying, and by default are not."],
    )  # fmt: skip


if __name__ == "__main__":
    main()
