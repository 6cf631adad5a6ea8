"""From the command to the first measured cell: `python -m tests.benchmarks.first_number [MODEL] [--other CHECKOUT]`.

The command runs in a process as a person starts it, its worker in another; both are asked for their seconds of
processor at the moment at which a cell with a drop stands in the workspace, and are ended then. With another checkout
(a git worktree), the two builds take turns. `--large MIB` adds a model of about that size, beside the time that loading
it alone takes.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.benchmarks.record import ROOT, Cell, Column, Table, recordable, write_record

LARGE = """
import time
import torch
from pathlib import Path
from safetensors.torch import load_file
from torch import nn
from core import Examples, Workload, accuracy

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(1024, 4096), nn.Linear(4096, 1024)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(x)))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(Block() for _ in range(N_LAYERS))
        self.fc = nn.Linear(1024, 8)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.fc(x)

def workload():
    with torch.device("meta"):
        net = Net()
    net.load_state_dict(load_file(Path(__file__).with_suffix(".safetensors")), assign=True)
    torch.manual_seed(0)
    return Workload("large", net.eval(), Examples(torch.randn(64, 1024), torch.randint(8, (64,))), accuracy(),
                    batch_size=32)
"""
WRITE = """
import sys, torch
from safetensors.torch import save_file
torch.manual_seed(0)
net = {}
for i in range(int(sys.argv[2])):
    for name, shape in (("a", (4096, 1024)), ("b", (1024, 4096))):
        net[f"layers.{i}.{name}.weight"] = torch.randn(shape) / 64
        net[f"layers.{i}.{name}.bias"] = torch.zeros(shape[0])
net |= {"fc.weight": torch.randn(8, 1024), "fc.bias": torch.zeros(8)}
save_file(net, sys.argv[1])
"""
LOAD = """
import sys, time
begun = time.process_time()
from core.workload.loading import load_workload
load_workload(sys.argv[1])
print(time.process_time())
"""


def environment(checkout: Path) -> dict[str, str]:
    """In which the code of a checkout runs, one thread to an operation."""
    return {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}


def first_cell(checkout: Path, words: list[str]) -> tuple[float, float, dict[str, float]]:
    """Seconds of the processor, and on the clock, until a cell of a sweep is shown; of the processor also by part."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "secateur.sqlite"
        command = [sys.executable, "-P", "-c", "from core.cli import main; main()"]
        began = time.perf_counter()
        process = psutil.Popen(
            [*command, "sweep", *words, "--threads", "1", "--workspace", folder],
            cwd=folder, env=environment(checkout), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        ours = [process]
        try:
            while not is_shown(database):
                if process.poll() is not None:
                    raise SystemExit(f"the sweep of {words} ended without a measured cell")
                time.sleep(0.01)
            seconds = time.perf_counter() - began
            ours += process.children(recursive=True)
            whole = sum(sum(one.cpu_times()[:2]) for one in ours)
            parts = parts_of(database)
            return whole, seconds, {"command": max(0.0, whole - sum(parts.values())), **parts}
        finally:
            for one in ours:
                with suppress(psutil.Error):
                    one.kill()
                    one.wait()


def is_shown(database: Path) -> bool:
    """Whether a cell with a drop stands in a workspace."""
    if not database.is_file():
        return False
    try:
        db = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
        try:
            return bool(
                db.execute("SELECT 1 FROM cells WHERE json_extract(cell, '$.drop') NOT NULL LIMIT 1").fetchall()
            )
        finally:
            db.close()
    except sqlite3.Error:  # its tables are being made
        return False


def parts_of(database: Path) -> dict[str, float]:
    """Seconds of the processor of the worker, by part; none of a build that does not keep them."""
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
    try:
        (text,) = db.execute("SELECT result FROM runs").fetchone()
    finally:
        db.close()
    return {one["name"]: one["cpu"] for one in json.loads(text or "{}").get("first_parts", {}).get("parts", ())}


def loading(checkout: Path, ref: str) -> float:
    """Seconds of the processor that a process takes which loads a model and ends."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOAD, ref], env=environment(checkout), capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["fashion-resnet"])
    parser.add_argument("--other", type=Path, help="checkout of another build")
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--large", type=int, metavar="MIB", help="also a model of this size")
    parser.add_argument("--times", type=int, default=3)
    recordable(parser)
    options = parser.parse_args()
    builds = {"this": ROOT, **({"other": options.other.resolve()} if options.other else {})}
    with tempfile.TemporaryDirectory() as folder:
        asked = [(name, [name, "--samples", str(options.samples)]) for name in options.models]
        if options.large:
            file, n = Path(folder) / "large.py", max(1, round(options.large / 32))
            file.write_text(LARGE.replace("N_LAYERS", str(n)))
            subprocess.run([sys.executable, "-c", WRITE, str(file.with_suffix(".safetensors")), str(n)], check=True)
            asked.append((f"{32 * n} MiB", [str(file), "--sparsities", "0.5", "--samples", "all"]))
        rows: list[list[Cell]] = []
        by_part: list[list[Cell]] = []
        for name, words in asked:
            found: dict[str, list[tuple[float, float, dict[str, float]]]] = {build: [] for build in builds}
            loads = []
            for _ in range(options.times):
                for build, checkout in builds.items():
                    found[build].append(first_cell(checkout, words))
                loads.append(loading(ROOT, words[0]))
            cpu = {build: statistics.median(cpu for cpu, _, _ in those) for build, those in found.items()}
            clock = {build: statistics.median(clock for _, clock, _ in those) for build, those in found.items()}
            load, other = statistics.median(loads), cpu.get("other")
            ratio = cpu["this"] / other if other else None
            print(f"{name}: {cpu['this']:.2f} s of CPU ({clock['this']:.2f} s) to the first cell"
                  + (f"; the other build {other:.2f} s: {ratio:.2f} ×" if other else "")
                  + f"; loading alone {load:.2f} s: {cpu['this'] / load:.2f} ×", flush=True)  # fmt: skip
            rows.append([name, cpu["this"], clock["this"], other, ratio, load, cpu["this"] / load])
            ours = [parts for _, _, parts in found["this"]]
            medians = {part: statistics.median(one.get(part, 0.0) for one in ours) for part in ours[0]}
            print("  " + ", ".join(f"{part} {seconds:.2f}" for part, seconds in medians.items()), flush=True)
            by_part += [[name, part, seconds] for part, seconds in medians.items()]
    columns = (
        Column("model"), Column("CPU to the first cell", "s", ".2f"), Column("on the clock", "s", ".2f"),
        Column("the other build: CPU", "s", ".2f"), Column("ratio", "", ".2f"),
        Column("loading alone: CPU", "s", ".2f"),
        Column("times loading", "", ".2f"),
    )  # fmt: skip
    write_record(
        options, "The first number", "How long does a person wait for the first measured cell?",
        [Table(columns, rows),
         Table((Column("model"), Column("part"), Column("CPU", "s", ".2f")), by_part, "By part, of this build")],
        "Seconds of the processor of the command and its worker, median of several; one thread to an operation.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
