"""How much sooner a sweep ends with a second worker on a second core: `python -m tests.benchmarks.workers [TURNS [N]]`.

In turns, each in a fresh workspace: the run's own worker alone with one thread, the same with one `secateur work`
beside it that has started before, and alone with two threads, which says whether a core is better given to a worker or
to a thread; N examples, 6,000 if none are given. Seconds are those from the begin of the run to its end, loading and
tracing in them; those of the processor tell what two workers do twice. Needs two cores; what else computes on the
machine is printed, for it decides as well.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

SECATEUR = str(Path(sys.executable).with_name("secateur"))
SWEEP = ("fashion-vit", "--sparsities", "0.5,0.8", "--no-preview")
SETTLE_SECONDS, IDLE_SHARE = 2.0, 0.1
LOOK_SECONDS = 0.25  # between two looks at what processes have used


@dataclass(frozen=True)
class Turn:
    """One sweep.

    Attributes:
        seconds: from its begin to its end.
        cpu: seconds of the processor that the run's own worker has taken, and each helper since it waited for runs.
        bundles: that each helper has measured.
    """

    seconds: float
    cpu: tuple[float, ...]
    bundles: tuple[int, ...]


def turn(n_helpers: int, samples: str, threads: int = 1) -> Turn:
    """One sweep with so many workers beside its own, which has so many threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        words = ("--workspace", folder, "--json")
        helpers = [
            subprocess.Popen(
                [SECATEUR, "work", "--once", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env=environment,
            )
            for _ in range(n_helpers)
        ]  # fmt: skip
        for helper in helpers:
            assert helper.stderr is not None
            assert "waits for runs" in helper.stderr.readline()
            settle(helper.pid)
        before = {helper.pid: cpu_of(helper.pid) for helper in helpers}
        answer = Path(folder, "answer.json")  # more than a pipe holds until somebody reads it
        with answer.open("w") as output:
            sweep = subprocess.Popen(
                [SECATEUR, "sweep", *SWEEP, "--samples", samples, "--at-once", str(threads), *words],
                stdout=output, stderr=subprocess.DEVNULL, env=environment,
            )  # fmt: skip
        last: dict[int, float] = {}
        while sweep.poll() is None:
            for pid in [*own_worker(folder), *before]:
                last[pid] = max(cpu_of(pid), last.get(pid, 0.0))
            time.sleep(LOOK_SECONDS)
        run = json.loads(answer.read_text())["run"]
        told = tuple(json.loads(helper.communicate(timeout=60)[0])["bundles"] for helper in helpers)
    cpu = tuple(used - before.get(pid, 0.0) for pid, used in last.items())
    return Turn(run["ended"] - run["started"], cpu, told)


def settle(pid: int) -> None:
    """Wait until a helper has imported what it needs: until it does next to nothing."""
    used = -1.0
    while cpu_of(pid) - used > IDLE_SHARE * SETTLE_SECONDS:
        used = cpu_of(pid)
        time.sleep(SETTLE_SECONDS)


def cpu_of(pid: int) -> float:
    """Seconds of the processor that a process has taken; 0 of one that is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def own_worker(folder: str) -> list[int]:
    """The process of the run of a workspace, once there is one."""
    try:
        with closing(sqlite3.connect(f"file:{Path(folder, 'secateur.sqlite')}?mode=ro", uri=True)) as db:
            return [pid for (pid,) in db.execute("SELECT pid FROM runs WHERE kind = 'sweep' AND pid NOTNULL")]
    except sqlite3.OperationalError:  # it is not laid out yet
        return []


def main() -> None:
    """Print each turn and its ratios."""
    words = [*sys.argv[1:], *("3", "6000")[len(sys.argv) - 1 :]]
    ratios = []
    for number in range(int(words[0])):
        alone, two, threads = turn(0, words[1]), turn(1, words[1]), turn(0, words[1], threads=2)
        ratios.append(alone.seconds / two.seconds)
        both = " + ".join(f"{used:.1f}" for used in two.cpu)
        print(
            f"turn {number + 1}: alone {alone.seconds:.1f} s ({alone.cpu[0]:.1f} of the processor), "
            f"with a second worker {two.seconds:.1f} s ({both}; {two.bundles[0]} bundles of it), "
            f"alone with two threads {threads.seconds:.1f} s ({threads.cpu[0]:.1f}): "
            f"ratios {ratios[-1]:.2f} and {alone.seconds / threads.seconds:.2f}; "
            f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
            flush=True,
        )
    print(f"median ratio of a second worker {median(ratios):.2f}")


if __name__ == "__main__":
    main()
