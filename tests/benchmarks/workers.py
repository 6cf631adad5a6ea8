"""How much sooner a sweep ends with a second worker on a second core: `python -m tests.benchmarks.workers [TURNS]`.

In turns, each in a fresh workspace: the run's own worker alone with one thread, and the same with one `secateur work`
beside it that has started before. Seconds are those from the begin of the run to its end, loading and tracing in them.
Needs two cores; what else computes on the machine is printed, for it decides as well.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

SECATEUR = str(Path(sys.executable).with_name("secateur"))
SWEEP = ("fashion-vit", "--samples", "3000", "--at-once", "1", "--sparsities", "0.5,0.8", "--no-preview")


def seconds(n_helpers: int) -> tuple[float, list[int]]:
    """Of one sweep, and how many bundles each helper has measured."""
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
        done = subprocess.run(
            [SECATEUR, "sweep", *SWEEP, *words], capture_output=True, text=True, env=environment, check=True
        )
        run = json.loads(done.stdout)["run"]
        told = [json.loads(helper.communicate(timeout=60)[0])["bundles"] for helper in helpers]
    return run["ended"] - run["started"], told


def main() -> None:
    """Print each turn and the ratio of its two."""
    ratios = []
    for turn in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        alone, (two, bundles) = seconds(0)[0], seconds(1)
        ratios.append(alone / two)
        print(
            f"turn {turn + 1}: alone {alone:.1f} s, with a second worker {two:.1f} s ({bundles[0]} bundles of it), "
            f"ratio {ratios[-1]:.2f}; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
            flush=True,
        )
    print(f"median ratio {median(ratios):.2f}")


if __name__ == "__main__":
    main()
