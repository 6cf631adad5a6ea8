"""The loop of an engine's process: `python -I serve.py RUNNER.py`, a JSON document a line in and out.

The first line says what is to be done: `{"do": "write", …}` makes a file and ends, `{"do": "load", …}` loads one, runs
it once, and then answers lines `{"bursts": n, "passes": m}` with the seconds of a pass in each burst; `"run"` loads one
for each of several batches, runs it and ends; `"look"` reads one that cannot be run here.
"""

import importlib.util
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

WATCH = 1.0  # seconds between two looks whether whoever asked is still there


def main() -> None:
    """Serve until the input ends, or until whoever asked was killed."""
    threading.Thread(target=ended_with, args=(os.getppid(),), daemon=True).start()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the lines

    def say(document: Any) -> None:
        out.write(json.dumps(document) + "\n")
        out.flush()

    spec = importlib.util.spec_from_file_location("runner", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    runner = importlib.util.module_from_spec(spec)
    job = json.loads(sys.stdin.readline())
    inputs = [array(path) for path in job.get("inputs", ())]
    try:
        spec.loader.exec_module(runner)
        if job["do"] == "write":
            made = runner.write(job, inputs)
            say(made if isinstance(made, dict) else {"files": made})
            return
        if job["do"] == "look":
            say(runner.look(job))
            return
        if job["do"] == "run":
            say({"outputs": [run(runner, job, i) for i in range(len(job["batches"]))]})
            return
        forward = runner.load(job["file"], inputs, job["threads"])
        outputs = [np.ascontiguousarray(one) for one in forward()]
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}"})
        raise  # with where, for the log
    for i, one in enumerate(outputs):
        np.save(Path(job["folder"], f"out{i}.npy"), one)
    say({"outputs": len(outputs)})
    for line in sys.stdin:
        asked = json.loads(line)
        say({"seconds": [burst(forward, asked["passes"]) for _ in range(asked["bursts"])]})


def run(runner: Any, job: dict[str, Any], i: int) -> int:
    """Load the file for one batch of several and run it; how many outputs there are, in files by batch and place."""
    outputs = runner.load(job["file"], [array(path) for path in job["batches"][i]], job["threads"])()
    for k, one in enumerate(outputs):
        np.save(Path(job["folder"], f"out{i}-{k}.npy"), np.ascontiguousarray(one))
    return len(outputs)


def ended_with(parent: int) -> None:
    """End this process when its parent is gone: a converter would go on for minutes, and nobody would read it."""
    while os.getppid() == parent:
        time.sleep(WATCH)
    if os.getpgrp() == os.getpid():  # with what the engine has started
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def array(path: str) -> Any:
    """Numbers of a file, which knows nothing else: objects are refused."""
    with open(path, "rb") as file:
        return np.lib.format.read_array(file)


def burst(forward: Any, passes: int) -> float:
    """Seconds of one pass, of some in a row."""
    begun = time.perf_counter()
    for _ in range(passes):
        forward()
    return (time.perf_counter() - begun) / passes


if __name__ == "__main__":
    main()
