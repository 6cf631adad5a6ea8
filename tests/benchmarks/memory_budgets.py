"""What plans leave of a pass' memory, as told and as measured: `python -m tests.benchmarks.memory_budgets [plans]`.

Random shrunk plans of three models at batches of 1, 4 and 16: told from the plan's lines, without the model, against
`peak_bytes` of the really shrunk model. Both count the same way, so that anything but equality is a mistake in what was
found of the model. Then, of dense and half models, what the same pass takes of real memory, which is another thing:
how far the peak of a fresh process rises above what it held before a pass in torch (VmHWM; kernels' scratch, allocator
and lazily loaded code with it), and in ONNX Runtime.
"""

import random
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from safetensors.torch import save_file

from core import Cut, SparsityPlan
from core.engines.onnx_writer import write_onnx
from core.numbers import bytes_text
from core.plans.costs.left import plan_cost
from core.plans.costs.memory import at
from core.profiling.held.counting import memory_use
from core.profiling.memory import peak_bytes
from core.pruning.masks import MaskMaker
from core.pruning.shrink import shrunk_by
from core.pruning.structure import Structure, find_structure
from core.workload.description import describe
from core.workload.loading import load_workload

MODELS = ("fashion-resnet", "fashion-vit", "tiny-gpt")
BATCHES = (1, 4, 16)
REAL_BATCH = 256  # of a pass whose memory is more than what a process takes by the way
CPU = torch.device("cpu")

# runs a file of ONNX on inputs in safetensors, and prints how far the process' peak rose above what it held before
IN_ONNX = """
import sys
import onnxruntime
from safetensors.numpy import load_file
def held(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))
def begin():  # the peak so far is forgotten
    open("/proc/self/clear_refs", "w").write("5")
    return held("VmRSS")
inputs = load_file(sys.argv[2])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
before = begin()
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
session.run(None, {one.name: inputs[str(i)] for i, one in enumerate(session.get_inputs())})
print(held("VmHWM") - before)
"""
# the same of torch, with a model that is loaded and a pass of another that went before
IN_TORCH = """
import sys
import torch
from safetensors.torch import load_file
from tests.benchmarks.memory_budgets import shrunk_half
def held(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))
def begin():  # the peak so far is forgotten
    open("/proc/self/clear_refs", "w").write("5")
    return held("VmRSS")
torch.set_num_threads(1)
model = shrunk_half(sys.argv[1], sys.argv[2] == "half")
inputs = load_file(sys.argv[3])
with torch.no_grad():
    model(*(inputs[str(i)][:1] for i in range(len(inputs))))
    before = begin()
    model(*(inputs[str(i)] for i in range(len(inputs))))
print(held("VmHWM") - before)
"""


def random_plan(structure: Structure, draw: random.Random) -> SparsityPlan:
    """Some of the channels of most groups, and some heads of every attention."""
    cuts = [Cut(name, "channel", draw.choice((0.1, 0.3, 0.5, 0.7, 0.9))) for name in structure.groups]
    cuts = [cut for cut in cuts if draw.random() < 0.7]
    for path in structure.heads:
        heads = [target.name for target in structure.targets if (target.granularity, target.layer) == ("head", path)]
        cuts += [Cut(name, "head") for name in draw.sample(heads, draw.randrange(len(heads)))]
    return SparsityPlan(tuple(cuts))


def shrunk_half(name: str, half: bool) -> torch.nn.Module:
    """A sample without half of every group and attention, or as it is."""
    workload = load_workload(name)
    if not half:
        return workload.model.eval()
    few = tuple(x[:2].clone() for x in workload.evaluation.inputs)
    structure = find_structure(workload.model, few)
    cuts = [Cut(group, "channel", 0.5) for group in structure.groups]
    for path in structure.heads:
        heads = [target.name for target in structure.targets if (target.granularity, target.layer) == ("head", path)]
        cuts += [Cut(head, "head") for head in heads[: len(heads) // 2]]
    maker = MaskMaker(workload.model, structure.targets, structure.groups)
    return shrunk_by(workload.model, SparsityPlan(tuple(cuts)), structure, maker, few).eval()


def main() -> None:
    """Print a line for each model, and a table of real memory."""
    n_plans = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for name in MODELS:
        workload = load_workload(name)
        few = tuple(x[:3].clone() for x in workload.evaluation.inputs)
        structure = find_structure(workload.model, few)
        began = time.process_time()
        use = memory_use(workload, structure)
        spent = time.process_time() - began
        found = describe(name, workload, lambda _, s=structure: (s.targets, s.uncuttable))
        found = replace(found, memory=use)
        maker, draw = MaskMaker(workload.model, structure.targets, structure.groups), random.Random(0)
        errors = []
        for _ in range(n_plans):
            plan = random_plan(structure, draw)
            model = shrunk_by(workload.model, plan, structure, maker, few)
            for batch in BATCHES:
                rows = torch.arange(batch) % len(workload.evaluation.inputs[0])
                measured = peak_bytes(model, tuple(x[rows] for x in workload.evaluation.inputs), CPU)
                errors.append(abs(plan_cost(plan, at(found, batch), "memory").value - measured) / measured)
        print(
            f"{name}: {n_plans} plans x {len(BATCHES)} batches, error median {median(errors):.2%}, worst "
            f"{max(errors):.2%}; counted in {spent:.1f} s of CPU; refused: {dict(use.refused) or 'nothing'}",
            flush=True,
        )
    print(f"\nOne pass of {REAL_BATCH} examples, beside what is counted here without weights and inputs:")
    for name in MODELS:
        for which in ("dense", "half"):
            print(f"{name} {which}: {_real(name, which)}", flush=True)


def _real(name: str, which: str) -> str:
    model = shrunk_half(name, which == "half")
    given = load_workload(name).evaluation.inputs
    rows = torch.arange(REAL_BATCH) % len(given[0])
    inputs = tuple(x[rows].contiguous() for x in given)
    kept = sum(t.nbytes for t in (*model.parameters(), *model.buffers(), *inputs))
    counted = peak_bytes(model, inputs, CPU) - kept
    with tempfile.TemporaryDirectory() as folder:
        data, graph = Path(folder) / "x.safetensors", Path(folder) / "m.onnx"
        save_file({str(i): x for i, x in enumerate(inputs)}, data)
        write_onnx(model, tuple(x[:2] for x in inputs), graph)
        in_torch = _said([IN_TORCH, name, which, str(data)])
        in_onnx = _said([IN_ONNX, str(graph), str(data)])
    return (
        f"counted {bytes_text(counted)}; torch's process rose by {bytes_text(in_torch)}; "
        f"ONNX Runtime's, weights and session with it, by {bytes_text(in_onnx)}"
    )


def _said(words: list[str]) -> int:
    done = subprocess.run([sys.executable, "-c", *words], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
