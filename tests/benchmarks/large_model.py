"""Memory and time of a few cells of a large model: `python -m tests.benchmarks.large_model [transformer resnet50]`.

Three weight matrices at two sparsities, on 48 examples, beside the loop that anybody would write: zero the smallest
weights in place, evaluate, put them back. Each is a process of its own; memory is the peak above what the imports
take, time is of the processor, with one thread each. A sweep is measured of a workload in memory, and of one in a
file, of which Secateur also remembers what can be cut. The models are random: what they say does not matter here.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.record import ROOT, Cell, Column, Table, recordable, write_record

SPARSITIES = (0.5, 0.9)
NAMES = {
    "transformer": ("layers.0.linear1", "layers.{half}.linear2", "layers.{last}.self_attn.out_proj"),
    "resnet50": ("stages.0.0.b", "stages.2.3.b", "stages.3.2.c"),
}
MODELS = """
import torch
from torch import nn
from core import Examples, Workload, accuracy

class Transformer(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(1024, 16, 4096, batch_first=True) for _ in range(n))
        self.fc = nn.Linear(1024, 4)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.fc(x.mean(1))

class Bottleneck(nn.Module):
    def __init__(self, n_in, width, stride):
        super().__init__()
        self.a, self.b = nn.Conv2d(n_in, width, 1, bias=False), nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.c = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.na, self.nb, self.nc = nn.BatchNorm2d(width), nn.BatchNorm2d(width), nn.BatchNorm2d(4 * width)
        self.short = nn.Conv2d(n_in, 4 * width, 1, stride, bias=False) if n_in != 4 * width else nn.Identity()

    def forward(self, x):
        y = torch.relu(self.na(self.a(x)))
        y = self.nc(self.c(torch.relu(self.nb(self.b(y)))))
        return torch.relu(y + self.short(x))

class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        stages, n = [], 64
        for i, (width, depth) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
            blocks = []
            for j in range(depth):
                blocks.append(Bottleneck(n, width, 2 if i and not j else 1))
                n = 4 * width
            stages.append(nn.Sequential(*blocks))
        self.stages, self.fc = nn.Sequential(*stages), nn.Linear(n, 1000)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.norm(self.stem(x))), 3, 2, 1)
        return self.fc(self.stages(x).mean((2, 3)))

BATCH, N = 16, 48

def made(kind, layers):
    torch.manual_seed(0)
    if kind == "transformer":
        model, x = Transformer(layers), torch.randn(N, 16, 1024)
    else:
        model, x = ResNet50(), torch.randn(N, 3, 96, 96)
    model.eval()
    with torch.inference_mode():
        labels = torch.cat([model(x[i : i + BATCH]) for i in range(0, N, BATCH)]).argmax(1)
    return model, x, labels

def workload():
    model, x, labels = made(KIND, LAYERS)
    return Workload("large", model, Examples(x, labels), accuracy(), batch_size=BATCH)
"""


def child(way: str, kind: str, layers: int) -> None:
    """Do the work of one measurement; print peak in MiB above the imports, and seconds."""
    import torch

    import core.api
    import core.jobs.works.sweep
    from core import sweep

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    assert core.api is not None
    text = MODELS + f"\nKIND, LAYERS = {kind!r}, {layers}\n"
    made_of: dict = {"__name__": "models"}
    exec(compile(text, "models", "exec"), made_of)
    names = [name.format(half=layers // 2, last=layers - 1) for name in NAMES[kind]]
    begun, imports = time.process_time(), peak()
    if way == "loop":
        model, x, _ = made_of["made"](kind, layers)
        for name in names:
            weight = model.get_submodule(name).weight
            for sparsity in SPARSITIES:
                dense = weight.detach().clone()
                with torch.no_grad():
                    order = weight.abs().flatten().argsort()
                    weight.view(-1)[order[: int(sparsity * weight.numel())]] = 0
                    with torch.inference_mode():
                        torch.cat([model(x[i : i + 16]) for i in range(0, len(x), 16)])
                    weight.copy_(dense)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "large.py"
            file.write_text(text)
            sweep(str(file) if way == "file" else made_of["workload"](), workspace=folder, sparsities=SPARSITIES,
                  layers=f"^({'|'.join(names)})$", heads=False, samples="all", threads=1, preview=False)  # fmt: skip
    seconds = time.process_time() - begun
    print(peak() - imports, seconds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=["transformer", "resnet50"])
    parser.add_argument("--layers", type=int, default=8, help="of the transformer")
    parser.add_argument("--child", nargs=2)
    parser.add_argument("--other", type=Path, help="checkout of another build, whose sweeps are measured too")
    recordable(parser)
    options = parser.parse_args()
    if options.child:
        child(*options.child, options.layers)
        return
    rows: list[list[Cell]] = []
    for kind in options.kinds:
        loop = measured(ROOT, "loop", kind, options.layers)
        rows.append([kind, "the plain loop", loop[0], None, loop[1], None])
        print(f"{kind}: loop {loop[0]:.0f} MiB, {loop[1]:.1f} s of CPU", flush=True)
        for build, checkout in (("", ROOT), (" of the other build", options.other)):
            for way, text in (("sweep", "sweep"), ("file", "sweep of a file")) if checkout else ():
                peak, seconds = measured(checkout, way, kind, options.layers)
                ratios = peak / loop[0], seconds / loop[1]
                rows.append([kind, text + build, peak, ratios[0], seconds, ratios[1]])
                print(f"  {text}{build} {peak:.0f} MiB, {seconds:.1f} s: {ratios[0]:.2f} × the memory, "
                      f"{ratios[1]:.2f} × the time", flush=True)  # fmt: skip
    columns = (
        Column("model"), Column("way"), Column("peak", "MiB", ".0f"), Column("times the loop's", "", ".2f"),
        Column("CPU", "s", ".1f"), Column("times the loop's", "", ".2f"),
    )  # fmt: skip
    write_record(
        options, "A large model", "What do a few cells of a large model take, beside the plain loop?",
        [Table(columns, rows)],
        "Peak resident memory above what the imports take; seconds of the processor, one thread each, the making of "
        "the model included.",
    )  # fmt: skip


def measured(checkout: Path, way: str, kind: str, layers: int) -> tuple[float, float]:
    """Peak in MiB and seconds of one child, whose `core` is that of a checkout."""
    words = [sys.executable, "-P", str(Path(__file__)), "--child", way, kind, "--layers", str(layers)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{checkout}{os.pathsep}{ROOT}"}
    done = subprocess.run(words, cwd=checkout, env=env, capture_output=True, text=True, check=True)
    peak, seconds = (float(word) for word in done.stdout.split()[-2:])
    return peak, seconds


if __name__ == "__main__":
    main()
