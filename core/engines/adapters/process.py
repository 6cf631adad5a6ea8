"""A process of an engine: what dies there, dies alone."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.engines.adapters.adapter import Place
from core.engines.engine import EngineUnavailable
from core.offline import SEALED, SILENT

RUNNERS = Path(__file__).parent.parent / "runners"
PATIENCE = 900.0  # seconds without an answer, after which a process is taken for stuck
POLL = 0.1  # seconds
MOST_SAID = 1 << 22  # bytes that are read of what a process said


class Process:
    """An engine's process, as a `with` block; its files are read and written by the engine's own library.

    Args:
        runner: name of its file in `core.engines.runners`.
        place: folder and interpreter.
        threads: within one operation.

    Raises:
        EngineUnavailable: of every call: the process said why it cannot, died, or does not answer.
    """

    def __init__(self, runner: str, place: Place, threads: int = 1) -> None:
        self._runner, self._place, self._threads = runner, place, threads

    def __enter__(self) -> "Process":
        python = self._place.python or sys.executable
        self._said = tempfile.TemporaryFile()
        environment = {**os.environ, **SILENT, **SEALED, "OMP_NUM_THREADS": str(self._threads)}
        try:
            self._process = subprocess.Popen(
                [python, "-I", str(RUNNERS / "serve.py"), str(RUNNERS / f"{self._runner}.py")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, env=environment,
                cwd=self._place.folder, text=True, process_group=0,
            )  # fmt: skip
        except OSError as error:
            self._said.close()
            raise EngineUnavailable(f"{python} cannot be started: {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # with compilers that it has started
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()  # nothing in it is worth keeping, and what hangs would not end by itself
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            with contextlib.suppress(OSError):  # what was not sent yet, to one that is gone
                if stream is not None:
                    stream.close()

    def write(self, inputs: Sequence[Path], **job: Any) -> tuple[Path, ...]:
        """Have files made; `job` is what the runner's `write` reads."""
        return tuple(Path(path) for path in self.made(inputs, **job)["files"])

    def made(self, inputs: Sequence[Path], **job: Any) -> dict[str, Any]:
        """As `write`, with whatever else the runner tells of what it made."""
        return self.ask(do="write", inputs=[str(path) for path in inputs], folder=str(self._place.folder), **job)

    def load(self, file: Path, inputs: Sequence[Path]) -> list[Tensor]:
        """Have a file loaded and run once; its outputs."""
        folder = self._place.folder
        found = self.ask(
            do="load", inputs=[str(path) for path in inputs], folder=str(folder), file=str(file), threads=self._threads
        )
        return [torch.from_numpy(_array(folder / f"out{i}.npy")) for i in range(found["outputs"])]

    def run(self, file: Path, batches: Sequence[Sequence[Path]]) -> list[list[Tensor]]:
        """Have a file loaded and run once for each batch; the outputs of each."""
        folder = self._place.folder
        names = [[str(path) for path in batch] for batch in batches]
        found = self.ask(do="run", batches=names, folder=str(folder), file=str(file), threads=self._threads)["outputs"]
        return [[torch.from_numpy(_array(folder / f"out{i}-{k}.npy")) for k in range(n)] for i, n in enumerate(found)]

    def look(self, file: Path) -> dict[str, Any]:
        """What a file holds that cannot be run here: shapes of `"inputs"` and `"outputs"`, and all `"weights"`."""
        found = self.ask(do="look", file=str(file), folder=str(self._place.folder))
        return {**found, "weights": [torch.from_numpy(_array(Path(name))) for name in found["weights"]]}

    def burst(self, bursts: int, passes: int) -> list[float]:
        """Seconds of a pass in each of some bursts; after `load`."""
        seconds: list[float] = self.ask(bursts=bursts, passes=passes)["seconds"]
        return seconds

    def ask(self, **question: Any) -> dict[str, Any]:
        """One line there, one line back."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise EngineUnavailable(self._death()) from None
        waited = 0.0
        while not select.select([self._process.stdout], [], [], POLL)[0]:
            self._place.check()
            waited += POLL
            if waited > PATIENCE:
                raise EngineUnavailable(f"its process gave no answer for {PATIENCE / 60:.0f} minutes and was ended")
        line = self._process.stdout.readline()
        if not line:
            raise EngineUnavailable(self._death())
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise EngineUnavailable(refusal(found["error"], self._log()))
        return found

    def _log(self) -> str:
        # the process writes on with the same place in the file: moving that would have it write over what it said
        found = os.pread(self._said.fileno(), MOST_SAID, 0)
        return found.decode(errors="replace")

    def _death(self) -> str:
        code = self._process.wait()
        how = f"ended with code {code}"
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        lines = [line.strip() for line in self._log().splitlines() if line.strip()]
        return f"its process {how}" + (f": {lines[-1][:200]}" if lines else "")


def _array(file: Path) -> NDArray[Any]:
    with file.open("rb") as opened:
        return np.lib.format.read_array(opened)  # numbers alone: it refuses objects, and knows no other format


# how engines name an operation that they do not have
_OPERATIONS = (
    r"failed to legalize operation '([\w.]+)'",
    r"No ONNX function found for <OpOverload\(op='([\w.:]+)'",
    r"[Mm]issing operator: (?:\[\d+\] )?([\w.:]+)",
    r"layer ([\w.:]+) not exists or registered",
    r"Lowering not found: ([\w.]+)",
    r"Operator torch\._ops\.([\w.]+) is not in Core ATen",
    r"Didn't find op for builtin opcode '(\w+)'",
    r"unsupported operations?:? '?([\w.:]+)",
    r"No decompositions registered for (?:the )?(?:node|aten)\s*([\w.:]+)",
)


_PLACE = re.compile(r"(?:\w+: )?Exception from \S+:\d+:$")


def refusal(error: str, log: str) -> str:
    """One line of why an engine cannot: the operation that it has not, where one is named, then what it says."""
    # the first line of an error is often a headline, OpenVINO's first lines are where in its own code it was raised
    said = [line.strip() for line in error.splitlines() if line.strip()] or ["no message"]
    lines = [line for line in said if not _PLACE.match(line)] or said
    first = lines[0] if len(lines) == 1 or len(lines[0]) > 40 else f"{lines[0]} {lines[1]}"
    for pattern in _OPERATIONS:
        found = re.search(pattern, f"{error}\n{log}")
        if found:
            return f"it has no operation {found[1]} ({first[:200]})"
    return first[:300]
