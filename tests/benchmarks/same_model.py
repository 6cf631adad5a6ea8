"""How often does a profile call a model faster or slower than itself?

`python -m tests.benchmarks.same_model [MODEL] [TIMES]`. One interval in twenty may leave out 1, at most. Two copies of
a model lie at other places in memory, so that one may really be a percent quicker, in this process only. A
neighbour at work slows several rounds in a row.
"""

import argparse
import copy
from collections import Counter
from functools import partial

import torch

from core import load_workload
from core.profiling.latency import ratios_of, timed_rounds, torch_threads
from core.profiling.request import ProfileRequest
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record


def main() -> None:
    """Print the verdicts at some settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="fashion-resnet")
    parser.add_argument("times", nargs="?", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one comparison, at most")
    recordable(parser)
    options = parser.parse_args()
    name, rows = options.model, list[list[Cell]]()
    workload, request = load_workload(name), ProfileRequest(seconds=options.seconds)
    model = workload.model.eval()
    for batch in (1, 16):
        inputs = tuple(x[:batch] for x in workload.evaluation.inputs)
        for threads in (1, 2):
            said: Counter[str] = Counter()
            with torch.no_grad(), torch_threads(threads):
                for _ in range(options.times):
                    forwards = {copied: partial(copy.deepcopy(model), *inputs) for copied in ("one", "other")}
                    seconds, _ = timed_rounds(forwards, request)
                    said.update(ratio.verdict for ratio in ratios_of(seconds, "one", "eager", batch, threads))
            print(f"{name}, batch {batch}, {threads} threads: {dict(said)}", flush=True)
            rows.append([name, batch, threads, options.times, said["no faster here"], said["faster"], said["slower"]])
    columns = [Column(title) for title in ("model", "batch", "threads", "times", "no faster here", "faster", "slower")]
    write_record(
        options, "A model against itself", "How often does a profile call a model faster or slower than itself?",
        [Table(columns, rows)],
        "One interval in twenty may leave out 1, at most; a neighbour at work slows several rounds in a row.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
