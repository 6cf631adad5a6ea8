"""Memory and time of a few cells of a large model: `python -m tests.benchmarks.large_model [--layers 8]`.

Three weight matrices at two sparsities, on 48 examples, beside the loop that anybody would write: zero the smallest
weights in place, evaluate, put them back. Each is a process of its own; memory is the peak above what the imports
take, time is of the processor, with one thread each. The model is random: what it says does not matter here.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

from tests.benchmarks.record import ROOT, Column, Table, recordable, write_record

NAMES = ("layers.0.linear1", "layers.{half}.linear2", "layers.{last}.self_attn.out_proj")
SPARSITIES = (0.5, 0.9)
N, BATCH, LENGTH, WIDTH = 48, 16, 16, 1024


def child(way: str, layers: int) -> None:
    """Do the work of one measurement; print peak in MiB above the imports, and seconds."""
    import torch
    from torch import nn

    import core.api
    from core import Examples, Workload, accuracy, sweep

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(
                nn.TransformerEncoderLayer(WIDTH, 16, 4 * WIDTH, batch_first=True) for _ in range(layers)
            )
            self.fc = nn.Linear(WIDTH, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = layer(x)
            return self.fc(x.mean(1))

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def evaluated() -> torch.Tensor:
        with torch.inference_mode():
            return torch.cat([model(x[i : i + BATCH]) for i in range(0, N, BATCH)])

    assert core.api is not None
    imports = peak()
    torch.manual_seed(0)
    model, x = Net().eval(), torch.randn(N, LENGTH, WIDTH)
    names = [name.format(half=layers // 2, last=layers - 1) for name in NAMES]
    labels, begun = evaluated().argmax(1), time.process_time()
    if way == "loop":
        for name in names:
            weight = model.get_submodule(name).weight
            for sparsity in SPARSITIES:
                dense = weight.detach().clone()
                with torch.no_grad():
                    order = weight.abs().flatten().argsort()
                    weight.view(-1)[order[: int(sparsity * weight.numel())]] = 0
                    evaluated()
                    weight.copy_(dense)
    else:
        workload = Workload("large", model, Examples(x, labels), accuracy(), batch_size=BATCH)
        sweep(workload, workspace=tempfile.mkdtemp(), sparsities=SPARSITIES, layers=f"^({'|'.join(names)})$",
              heads=False, samples="all", threads=1, preview=False)  # fmt: skip
    print(sum(p.numel() for p in model.parameters()) * 4 / 2**20, peak() - imports, time.process_time() - begun)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--child")
    recordable(parser)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.layers)
        return
    found = {}
    for way in ("loop", "sweep"):
        words = [sys.executable, "-m", "tests.benchmarks.large_model", "--child", way, "--layers", str(options.layers)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
        found[way] = [float(word) for word in done.stdout.split()[-3:]]
    (size, loop_peak, loop_seconds), (_, peak, seconds) = found["loop"], found["sweep"]
    print(f"a model of {size:.0f} MiB: loop {loop_peak:.0f} MiB, {loop_seconds:.1f} s of CPU; "
          f"sweep {peak:.0f} MiB, {seconds:.1f} s: {peak / loop_peak:.2f} × the memory, "
          f"{seconds / loop_seconds:.2f} × the time")  # fmt: skip
    columns = (
        Column("model", "MiB", ".0f"), Column("loop: peak", "MiB", ".0f"), Column("sweep: peak", "MiB", ".0f"),
        Column("ratio of memory", "", ".2f"), Column("loop: CPU", "s", ".1f"), Column("sweep: CPU", "s", ".1f"),
        Column("ratio of time", "", ".2f"),
    )  # fmt: skip
    row = [size, loop_peak, peak, peak / loop_peak, loop_seconds, seconds, seconds / loop_seconds]
    write_record(
        options, "A large model", "What do a few cells of a large model take, beside the plain loop?",
        [Table(columns, [row])],
        "Peak resident memory above what the imports take; seconds of the processor, one thread each.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
