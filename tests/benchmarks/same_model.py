"""How often does a profile call a model faster or slower than itself?

`python tests/benchmarks/same_model.py [MODEL] [TIMES]`. One interval in twenty may leave out 1, at most. Two copies of
a model lie at other places in memory, so that one may really be a percent quicker, in this process only. A
neighbour at work slows several rounds in a row.

Measured on two busy cores, 25 times at 4 settings: 2 of 100 for fashion-resnet, 3 of 100 for tiny-gpt.
"""

import copy
import sys
from collections import Counter
from functools import partial

import torch

from core import load_workload
from core.profiling.latency import ratios_of, timed_rounds, torch_threads
from core.profiling.request import ProfileRequest


def main(name: str = "fashion-resnet", times: str = "25") -> None:
    """Print the verdicts at some settings."""
    workload, request = load_workload(name), ProfileRequest(seconds=5)
    model = workload.model.eval()
    for batch in (1, 16):
        inputs = tuple(x[:batch] for x in workload.evaluation.inputs)
        for threads in (1, 2):
            said: Counter[str] = Counter()
            with torch.no_grad(), torch_threads(threads):
                for _ in range(int(times)):
                    forwards = {copied: partial(copy.deepcopy(model), *inputs) for copied in ("one", "other")}
                    seconds, _ = timed_rounds(forwards, request)
                    said.update(ratio.verdict for ratio in ratios_of(seconds, "one", "eager", batch, threads))
            print(f"{name}, batch {batch}, {threads} threads: {dict(said)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
