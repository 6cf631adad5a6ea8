"""How much sooner a sweep ends with two actors of Ray: `python -m tests.benchmarks.ray_workers [TURNS [EXAMPLES]]`.

In turns, each in a fresh process and workspace: one worker with one thread, and the same sweep with two actors of this
machine. What starting Ray and loading the model in each actor takes is told by itself, since a long sweep pays it once:

- `whole` is of the seconds from the begin of the run to its end, all in;
- `steady` of examples × cells a second: one worker's from after the trial of every target to its last cell; the
  actors' from when the last of them was given its first bundle, each until its last answer;
- `overhead` is the share of that time of the actors in which none of their cells was computed, nor what belongs to them
  (the dense pass over a new batch, cutting): sending, answering, waiting for the driver.

Needs two cores and the extra `ray`; what else computes on the machine is printed, for it decides as well. Asked for:
steady ≥ 1.7, overhead ≤ 5 % at bundles of 2 s.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

SPARSITIES, SAMPLES, ACTORS = (0.3, 0.5, 0.7, 0.8, 0.9), 3000, 2


def swept(with_ray: bool, samples: int) -> dict[str, float]:
    """One sweep in this process, told by numbers: seconds of the whole, examples × cells a second, what Ray took."""
    from core.jobs.cluster import ray_place
    from core.jobs.cluster.ray_hands import RayHands
    from core.jobs.runs import RunStore
    from core.jobs.submissions import sweep_submission
    from core.jobs.worker import execute
    from core.sensitivity.measuring.measurement import Measurement
    from core.sensitivity.request import SweepRequest
    from core.workspace import Workspace

    calls: list[tuple[float, float, int]] = []  # of `Measurement.run`: begin, last cell, examples × cells
    sent: dict[Any, tuple[Any, float]] = {}
    answered: list[tuple[Any, float, float, float, int]] = []  # hand, sent, answered, computed, examples × cells
    starts: list[float] = []
    own_run = Measurement.run

    def run(self: Measurement, work: Any) -> Iterator[Any]:
        begun, n = time.monotonic(), 0
        for found in own_run(self, work):
            n += self.batches.size(found[0])
            yield found
        if n:
            calls.append((begun, time.monotonic(), n))

    class Timed(RayHands):
        def __init__(self, *given: Any) -> None:
            starts.append(time.monotonic())
            super().__init__(*given)

        def send(self, hand: int, cells: Any) -> Any:
            ticket = super().send(hand, cells)
            sent[ticket] = hand, time.monotonic()
            return ticket

        def answer(self, ticket: Any) -> Any:
            now = time.monotonic()
            found = super().answer(ticket)
            if ticket in sent:
                n = sum(len(one.scores) for one in found.found)
                answered.append((*sent.pop(ticket), now, found.seconds, n))
            return found

    Measurement.run = run  # type: ignore[method-assign]
    ray_place.RayHands = Timed  # type: ignore[misc]
    request = SweepRequest(
        "fashion-vit", SPARSITIES, samples=samples, preview=False, threads=ACTORS if with_ray else 1,
        ray="local" if with_ray else None,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        runs = RunStore(Workspace(Path(folder)))
        queued, _ = runs.submit("sweep", *sweep_submission(request))
        ended = execute(runs, queued.id, later=False)
    assert ended.state == "finished", ended.error
    assert ended.ended is not None
    assert ended.started is not None
    told = {"whole": ended.ended - ended.started}
    if not with_ray:
        steady = calls[1:]  # the first is the trial of every target
        return {**told, "steady": sum(n for _, _, n in steady) / (steady[-1][1] - steady[0][0])}
    hands = {hand for hand, *_ in answered}
    assert len(hands) == ACTORS, f"{len(hands)} of {ACTORS} actors measured"
    both = max(min(begun for hand, begun, *_ in answered if hand == one) for one in hands)
    pace, span, computed, n_bundles = 0.0, 0.0, 0.0, 0
    for one in hands:
        own = [found for found in answered if found[0] == one and found[1] >= both]
        assert len(own) > 2, "too short a sweep: each actor must be given some bundles"
        seconds = max(found[2] for found in own) - min(found[1] for found in own)
        pace += sum(found[4] for found in own) / seconds
        span, computed, n_bundles = span + seconds, computed + sum(found[3] for found in own), n_bundles + len(own)
    return {
        **told, "steady": pace, "starting": both - starts[0], "overhead": 1 - computed / span, "bundles": n_bundles,
        "bundle": computed / n_bundles,
    }  # fmt: skip


def told_of(with_ray: bool, samples: int) -> dict[str, float]:
    """As `swept`, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.ray_workers",
        "--one",
        "ray" if with_ray else "alone",
        str(samples),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print each turn, and the medians of its ratios."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(swept(sys.argv[2] == "ray", int(sys.argv[3]))))
        return
    n_turns, samples = (int(word) for word in (*sys.argv[1:], *("3", f"{SAMPLES}")[len(sys.argv) - 1 :]))
    turns = []
    for turn in range(n_turns):
        alone, two = told_of(False, samples), told_of(True, samples)
        turns.append((alone["whole"] / two["whole"], two["steady"] / alone["steady"], two["overhead"]))
        print(
            f"turn {turn + 1}: alone {alone['whole']:.1f} s, {ACTORS} actors {two['whole']:.1f} s, of which "
            f"{two['starting']:.1f} s until all were at work; whole {turns[-1][0]:.2f}, steady {turns[-1][1]:.2f}; "
            f"{two['bundles']:.0f} bundles of {two['bundle']:.2f} s, overhead {100 * two['overhead']:.1f} %; load of "
            f"the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
            flush=True,
        )
    whole, steady, overhead = (median(one) for one in zip(*turns, strict=True))
    print(f"median: whole {whole:.2f}, steady {steady:.2f}, overhead {100 * overhead:.1f} %")


if __name__ == "__main__":
    main()
