"""Workers that are killed, interrupted and terminated: at any moment, and around each of their writes."""

import random
import re
import signal
import time

from tests.campaign.outcomes import Outcomes
from tests.campaign.works import Job, World, difference, drafts, evidence

PLACES = ("before", "inside", "after")
MOST_IN_A_ROW = 4


def kills(world: World, kind: str, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n kills -9 of work of this kind, one to four in a row on the same work before it is let end."""
    while n > 0:
        job, row = world.fresh(kind), min(n, rng.randint(1, MOST_IN_A_ROW))
        for _ in range(row):
            n -= 1
            if not one_kill(job, rng, outcomes):
                break
        at_the_end(job, "kill -9", outcomes)


def one_kill(job: Job, rng: random.Random, outcomes: Outcomes) -> bool:
    """Whether it can be killed once more: it had not finished."""
    world, before = job.world, set(evidence(job.folder))
    if job.kind != "merge" and job.state() not in ("queued",):
        job.runs.requeue(job.run)
    around = world.writes[job.kind] > 0 and rng.random() < 0.5
    at = (rng.randint(1, world.writes[job.kind]), rng.choice(PLACES)) if around else None
    at_work = job.start(at)
    if at is None:
        time.sleep(rng.uniform(0, 1.0) * world.seconds[job.kind])
        at_work.kill()
    ended = at_work.wait()
    if ended.code != -signal.SIGKILL:
        return False  # it was done before
    family = "kill -9 at a moment" if at is None else "kill -9 around a write"
    outcomes.injected(family, job.kind)
    survived(job, family, before, at_work.acknowledged(), outcomes)
    state = job.state()
    outcomes.said(family, f"the run is {state}{', a draft lies there until it goes on' if drafts(job.folder) else ''}")
    if state not in ("interrupted", "merge", "finished"):
        outcomes.bad("unsaid", family, job.kind, f"its run is {state}")
    return state != "finished"


def survived(job: Job, family: str, before: set[object], told: set[tuple[str, str]], outcomes: Outcomes) -> None:
    """What was on disk before a fault, and what the worker knew to be on disk, is there after it."""
    after = evidence(job.folder)
    missing = told - {(row[0], row[1]) for row in after}
    if before - set(after) or missing:
        outcomes.bad("lost", family, job.kind, f"{len(before - set(after))} rows, {len(missing)} that were told of")
    known = {row[:2]: row for row in job.world.expected[job.kind][0]}
    if other := [row for row in after if known.get(row[:2]) != row and job.kind != "minimise"]:
        outcomes.bad("wrong", family, job.kind, f"{len(other)} rows of evidence differ")


def at_the_end(job: Job, family: str, outcomes: Outcomes) -> None:
    """It goes on to what came of it where nothing happened."""
    try:
        said = job.resume()
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    if said:
        outcomes.bad("stuck", family, job.kind, said)
    elif job.found() != job.world.expected[job.kind]:
        outcomes.bad("wrong", family, job.kind, difference(job.found(), job.world.expected[job.kind]))
    elif left := drafts(job.folder):
        outcomes.bad("wrong", family, job.kind, f"left for ever: {', '.join(path.name for path in left)}")


def signals(world: World, kind: str, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n times SIGINT once, SIGINT twice or SIGTERM, to a worker."""
    for _ in range(n):
        sent = rng.choice(("SIGINT", "SIGINT twice", "SIGTERM"))
        job, family = world.fresh(kind), f"{sent} to a worker"
        at_work = job.start()
        time.sleep(rng.uniform(0.1, 0.9) * world.seconds[kind])
        for _ in range(2 if "twice" in sent else 1):
            at_work.kill(signal.SIGTERM if sent == "SIGTERM" else signal.SIGINT)
            time.sleep(0.01)
        at_work.wait()
        outcomes.injected(family, kind)
        survived(job, family, set(), at_work.acknowledged(), outcomes)
        state = job.state()
        outcomes.said(family, f"the run is {state}")
        if state not in ("interrupted", "cancelled", "finished", "merge", "failed"):
            outcomes.bad("unsaid", family, kind, f"its run is {state}")
        at_the_end(job, family, outcomes)


def one_line(said: str) -> bool:
    """Whether it is a line for a person: no traceback, nothing unforeseen."""
    return bool(said) and "\n" not in said and not re.search(r"Traceback|unexpected|fault of Secateur", said)
