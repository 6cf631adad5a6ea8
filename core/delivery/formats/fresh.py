"""A fresh process that reads a file with other people's libraries only, and says what it found."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.delivery.formats.subject import CannotHoldError, Subject
from core.drafted import scratch
from core.offline import SILENT
from core.pruning.equality import Terms, distance

# it ends when whoever asked was killed: nobody would read what it finds
ENDS_WITH = """import os, threading, time

def ended_with(parent=os.getppid()):
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)

threading.Thread(target=ended_with, daemon=True).start()
"""
END = "\nimport sys, json\nprint(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"


@dataclass(frozen=True)
class Exchange:
    """What a fresh process is asked.

    Attributes:
        script: Python text; `sys.argv[1:]` are the file to read, the safetensors of inputs, that of outputs to be
            written, the number of threads, and `words` as JSON.
        inputs: of each batch.
        words: what else it must know.
        allowed: packages that it may import although the model's classes come from them.
    """

    script: str
    inputs: Sequence[Mapping[str, Tensor]]
    words: Any = None
    allowed: tuple[str, ...] = ()


def outputs_in_fresh_process(path: Path, exchange: Exchange, subject: Subject) -> list[list[Tensor]]:
    """Outputs, batch by batch, of what a fresh process makes of a file.

    It runs isolated from our environment, and what it imported is looked at: neither Secateur nor a package that the
    model's classes come from.

    Raises:
        CannotHoldError: it failed, with the last line that it said; or it needed classes that it should not.
        Cancelled: as the subject's `check` says.
    """
    with scratch() as folder:
        given, found = Path(folder, "in.safetensors"), Path(folder, "out.safetensors")
        save_file({f"{i}:{name}": tensor.clone().contiguous() for i, batch in enumerate(exchange.inputs)
                   for name, tensor in batch.items()}, given)  # fmt: skip
        words = json.dumps({"batches": len(exchange.inputs), "words": exchange.words})
        arguments = [str(path.resolve()), str(given), str(found), str(torch.get_num_threads()), words]
        imported = run_fresh(exchange.script, arguments, subject, folder)
        mine = _packages(subject) - {"torch", "builtins", "__main__", *exchange.allowed}
        needed = sorted(mine & imported)
        if needed:
            raise CannotHoldError(f"{path.name} cannot be read without {', '.join(needed)}")
        tensors = load_file(found)
    outputs: list[list[Tensor]] = [[] for _ in exchange.inputs]
    for key in sorted(tensors, key=lambda key: tuple(map(int, key.split(":")))):
        outputs[int(key.partition(":")[0])].append(tensors[key])
    return outputs


def run_fresh(script: str, arguments: Sequence[str], subject: Subject, folder: Path) -> set[str]:
    """Run Python text in an isolated process; the packages that it had imported in the end.

    Raises:
        CannotHoldError: it failed, with the last line that it said.
    """
    alone = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    environment = {**os.environ, **SILENT, **alone}
    command = [sys.executable, "-I", "-c", ENDS_WITH + script + END, *arguments]
    with (
        tempfile.TemporaryFile("w+") as said,
        tempfile.TemporaryFile("w+") as complained,
        subprocess.Popen(command, stdout=said, stderr=complained, cwd=folder, env=environment) as process,
    ):
        try:
            while process.poll() is None:
                subject.check()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
        except BaseException:
            process.kill()
            raise
        complained.seek(0)
        lines = complained.read().strip().splitlines()
        if process.returncode:
            what = lines[-1][:300] if lines else "it ended without a word"
            raise CannotHoldError(_cause(what))
        said.seek(0)
        return set(json.loads(said.read().strip().splitlines()[-1]))


def _cause(line: str) -> str:
    """Why a file cannot be run, of the last line that a fresh process said."""
    fixed = re.search(r"args\[\d+\]\.shape\[0\] to be equal to (\d+)", line)
    if fixed or "Non-zero status code returned while running" in line:
        held = f"holds batches of {fixed[1]} examples only" if fixed else "does not run on batches of another size"
        return (
            f"what was written {held}: the number of examples became a constant in it; make sizes of tensors from the "
            "input in the model's code (x.shape[0], expand(x.shape[0], …)), not from Python numbers (len(x), a batch "
            "size in a buffer)"
        )
    return f"a fresh process cannot read or run it: {line}"


def compared_outputs(name: str, theirs: Sequence[Sequence[Tensor]], ours: Sequence[Sequence[Tensor]], tolerance: float,
                     terms: Terms = None) -> float:  # fmt: skip
    """Largest difference of any two entries, in parts of the model's own entry and of what was added up to make it.

    Args:
        name: of the file, for the message.
        theirs: of the model in memory, for each batch.
        ours: of the file.
        tolerance: what is accepted; of types shorter than float32 at least what they can tell apart.
        terms: of each output what is added up, as `Subject.terms`.

    Raises:
        CannotHoldError: another shape, another type, or more than the tolerance.
    """
    largest = 0.0
    for a, b in zip(theirs, ours, strict=True):
        apart = distance(a, b, terms) if [x.dtype for x in a] == [x.dtype for x in b] else None
        short = [16 * torch.finfo(x.dtype).eps for x in a if x.is_floating_point() and torch.finfo(x.dtype).bits < 32]
        if apart is None or not apart <= max([tolerance, *short]):
            far = "outputs of another shape or type" if apart is None else f"outputs up to {apart:.2g} apart"
            raise CannotHoldError(f"{name} as a fresh process runs it and the model in memory give {far}")
        largest = max(largest, apart)
    return largest


def _packages(subject: Subject) -> set[str]:
    return {type(module).__module__.partition(".")[0] for module in subject.model.modules()} | {"core"}
