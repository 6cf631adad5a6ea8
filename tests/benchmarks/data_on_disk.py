"""Memory and time of a sweep on data that do not fit: `python -m tests.benchmarks.data_on_disk [--examples 6000]`.

Pictures made by a Dataset one by one, (3, 128, 128) float32; a small network; three cells on all of them. In memory as
ever, and with a bound on memory that they exceed (128 MiB instead of half of what is free), so that they lie in a
temporary file. Each is a process of its own, one thread, with 0.1 GB for replay, which else keeps values of the dense
model in a quarter of what is free. *Own* is the peak of memory that nobody can take back (`RssAnon`, looked at every
5 ms); *resident* counts pages of the file too, which the system drops when it needs room.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.benchmarks.record import ROOT, Column, Table, recordable, write_record

SHAPE, ROOM = (3, 128, 128), 128 * 2**20


def own() -> float:
    """MiB of this process that are no file's."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("RssAnon:")[1].split()[0]) / 1024


def child(way: str, n: int) -> None:
    """Do the work of one measurement; print data, both peaks in MiB above the imports, seconds, and the result."""
    import torch
    from torch import nn
    from torch.utils.data import Dataset

    import core.api
    from core import sweep
    from core.workload.inputs import spilled

    class Pictures(Dataset):
        def __len__(self) -> int:
            return n

        def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
            return torch.randn(SHAPE, generator=torch.Generator().manual_seed(i)), i % 2

    assert core.api is not None
    if way == "file":
        spilled.room = lambda: ROOM
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16 * 16, 2)).eval()
    imports, resident = own(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peak, done, begun = [0.0], threading.Event(), time.process_time()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], own())

    watcher = threading.Thread(target=watch)
    watcher.start()
    report = sweep(model, Pictures(), metric="cross_entropy", workspace=tempfile.mkdtemp(), sparsities=(0.5,),
                   samples="all", threads=1, preview=False, memory=0.1)  # fmt: skip
    seconds = time.process_time() - begun
    done.set()
    watcher.join()
    size = n * SHAPE[0] * SHAPE[1] * SHAPE[2] * 4 / 2**20
    print(size, peak[0] - imports, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - resident, seconds,
          *(f"{cell.drop.value!r}" for cell in report.cells))  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=6000)
    parser.add_argument("--child")
    recordable(parser)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.examples)
        return
    rows, results = [], []
    for way in ("memory", "file"):
        words = [sys.executable, "-m", "tests.benchmarks.data_on_disk", "--child", way]
        done = subprocess.run([*words, "--examples", str(options.examples)], cwd=ROOT, capture_output=True, text=True,
                              env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)  # fmt: skip
        size, peak, resident, seconds, *result = done.stdout.splitlines()[-1].split()
        rows.append([f"in {'memory' if way == 'memory' else 'a file'}", *map(float, (size, peak, resident, seconds))])
        results.append(result)
    assert results[0] == results[1], "the two must give the same bits"
    for way, *numbers in rows:
        print(f"{way}: data {numbers[0]:.0f} MiB, own {numbers[1]:.0f} MiB, resident {numbers[2]:.0f} MiB, "
              f"{numbers[3]:.1f} s of CPU")  # fmt: skip
    columns = (
        Column("data lie"), Column("data", "MiB", ".0f"), Column("own: peak", "MiB", ".0f"),
        Column("resident: peak", "MiB", ".0f"), Column("CPU", "s", ".1f"),
    )  # fmt: skip
    write_record(
        options, "Data larger than memory", "What does a sweep take whose data do not fit into memory?",
        [Table(columns, rows)],
        "Peaks above what the imports take, one thread; own memory is what the system cannot take back, resident also "
        "counts pages of the file. The bound was set to 128 MiB; both give the same bits.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
