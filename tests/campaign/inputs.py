"""What a person's file does: it raises, yields NaN, is another one when the run goes on; and clocks that jump."""

import random
import time
from collections.abc import Callable

from tests.campaign.disks import told
from tests.campaign.kills import survived
from tests.campaign.outcomes import Outcomes
from tests.campaign.works import Job, World, difference, evidence

FILES = {
    "loading raises": ("return Workload(", "raise OSError(5, 'Input/output error')\n    return Workload("),
    "data hold NaN": ("labels = (x", "x[37] = float('nan')\n    labels = (x"),
    "model raises at pass K": (
        "time.sleep(PAUSE)",
        "PASSES.append(1)\n        if len(PASSES) > K:\n            raise RuntimeError('no')",
    ),
    "model gives NaN from pass K": (
        "return self.fc2(torch.relu(self.fc1(x)))",
        "PASSES.append(1)\n        y = self.fc2(torch.relu(self.fc1(x)))\n"
        "        return y * float('nan') if len(PASSES) > K else y",
    ),
    "loading hangs": ("return Workload(", "time.sleep(1000)\n    return Workload("),
    "model hangs at pass K": (
        "time.sleep(PAUSE)", "PASSES.append(1)\n        if len(PASSES) > K:\n            time.sleep(1000)",
    ),
    "model sleeps": ("time.sleep(PAUSE)", "time.sleep(0.02)"),
    "file is no Python": ("def dense():", "def dense(:"),
    "metric raises": ("accuracy(),", "broken(accuracy()),"),
}  # fmt: skip
CLOCKS = ("clock set back an hour", "clock set on a day")
CHANGED = ("other weights on resuming", "other examples on resuming")
BROKEN = (
    "\nfrom dataclasses import replace\nPASSES = []\n\ndef broken(metric):\n    def score(outputs, labels):\n"
    "        raise ZeroDivisionError('division by zero')\n    return replace(metric, score=score)\n"
)


def inputs(world: World, kind: str, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n of the faults above, each drawn; the file is put right again before the work goes on."""
    for _ in range(n):
        family = rng.choice((*FILES, *CLOCKS, *CHANGED))
        job = world.fresh(kind)
        before = set(evidence(job.folder))
        try:
            if family in CHANGED:
                changed(world, kind, family, rng, outcomes)
                continue
            if family in FILES:
                old, new = FILES[family]
                text = world.text.replace(old, new.replace("K", str(rng.randint(0, 12))))
                assert text != world.text
                world.file.write_text(text.replace("import torch\n", f"import torch\n{BROKEN}", 1), encoding="utf-8")
            at_work = job.start(before=_clock(family, rng))
            if "hangs" in family:  # whoever sees it ends it
                time.sleep(rng.uniform(0.5, 1.5) * world.seconds[kind])
                at_work.kill()
            ended = at_work.wait()
            outcomes.injected(family, kind)
            if "hangs" in family and ended.code < 0:
                outcomes.said(family, f"the run is {job.state()}")
            else:
                told(job, family, ended.said, ended.code, outcomes)
        finally:
            world.file.write_text(world.text, encoding="utf-8")
        after = evidence(job.folder)
        if before - set(after):
            outcomes.bad("lost", family, kind, f"{len(before - set(after))} rows")
        if family in CLOCKS:
            survived(job, family, before, at_work.acknowledged(), outcomes)
        other = family == "data hold NaN" or job.state() == "finished"  # of other data: a run of its own
        again = world.fresh(kind) if other else job
        at_the_end_beside(again, family, outcomes)


def at_the_end_beside(job: Job, family: str, outcomes: Outcomes) -> None:
    """As `at_the_end`, where evidence of another model may lie beside that of this one."""
    said = job.resume()
    if said:
        outcomes.bad("stuck", family, job.kind, said)
        return
    found, expected = job.found(), job.world.expected[job.kind]
    if set(expected[0]) - set(found[0]):
        outcomes.bad("wrong", family, job.kind, "evidence differs")
    elif found[1] != expected[1]:
        outcomes.bad("wrong", family, job.kind, difference(found[1], expected[1]))


def changed(world: World, kind: str, family: str, rng: random.Random, outcomes: Outcomes) -> None:
    """Killed, and resumed on another file: refused, or measured anew as that; never of both. Then as before."""
    job = world.fresh(kind)
    at_work = job.start()
    time.sleep(rng.uniform(0.2, 0.8) * world.seconds[kind])
    at_work.kill()
    at_work.wait()
    before = set(evidence(job.folder))
    text = world.text.replace(
        "generator = torch.Generator().manual_seed(0)", "generator = torch.Generator().manual_seed(1)"
    )
    if family == "other examples on resuming":
        text = world.text.replace("x = torch.randn(40, 6, generator=generator)", "x = torch.randn(40, 6)")
    assert text != world.text
    world.file.write_text(text, encoding="utf-8")
    said = job.resume()
    outcomes.injected(family, kind)
    told(job, family, said or "", 0, outcomes)
    if before - set(evidence(job.folder)):
        outcomes.bad("lost", family, kind, "evidence of before")
    finished = job.state() == "finished"
    if finished and job.found()[1] == world.expected[kind][1] and before != set(world.expected[kind][0]):
        outcomes.bad("wrong", family, kind, "another model was told to be the same")
    world.file.write_text(world.text, encoding="utf-8")
    at_the_end_beside(world.fresh(kind) if finished else job, family, outcomes)


def _clock(family: str, rng: random.Random) -> Callable[[], None]:
    if family not in CLOCKS:
        return lambda: None
    jump, calls = (-3600.0 if "back" in family else 86_400.0), rng.randint(1, 30)

    def jumping() -> None:
        real, n = time.time, 0

        def now() -> float:
            nonlocal n
            n += 1
            return real() + (jump if n > calls else 0.0)

        time.time = now

    return jumping
