"""File systems that are full, or become read-only: real ones, mounted in memory, which takes a root's rights."""

import contextlib
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from core.drafted import still_lives
from core.errors import SecateurError
from core.jobs.runs import RunStore
from core.workspace import Workspace
from tests.campaign.children import child
from tests.campaign.disks import told
from tests.campaign.kills import at_the_end, one_line, survived
from tests.campaign.outcomes import Outcomes
from tests.campaign.works import Job, World, evidence

KINDS = ("disk filled up", "disk full from the start", "mounted read-only")
SIZE = "24m"  # of the file system; a ballast takes what is not to be free
FREE = (0, 4096, 16_384, 65_536)  # bytes that the ballast leaves
BALLAST = "ballast"
NAMED = re.compile(r"secateur-campaign-([0-9a-f]{6}-[0-9]+-[0-9]+)-")  # by its process


def mounts(world: World, kind: str, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n of the faults above, each drawn; where nothing may be mounted, one line says so."""
    try:
        with mounted(world.folder / "mounted") as place:
            for _ in range(n):
                family = rng.choice(KINDS)
                if family == "mounted read-only":
                    _read_only(world, kind, place, rng, outcomes)
                else:
                    _full(world, kind, place, family, rng, outcomes)
    except PermissionError as error:
        print(f"  left out: nothing can be mounted here ({error})", flush=True)


def clear_dead(place: Path) -> None:
    """Unmount and remove what campaigns that were killed have left in a folder; those that live keep theirs."""
    for folder in place.glob("secateur-campaign-*"):
        named = NAMED.match(folder.name)
        if named is None or still_lives(named[1]):
            continue
        with contextlib.suppress(OSError):  # no Linux
            for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
                if Path(line.split()[1]).is_relative_to(folder):
                    subprocess.run(["umount", "-l", line.split()[1]], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def mounted(place: Path) -> Iterator[Path]:
    """A file system of its own at a new folder.

    Raises:
        PermissionError: nothing may be mounted.
    """
    place.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


def _mount(*words: str) -> None:
    try:
        done = subprocess.run(["mount", *words], capture_output=True, text=True)
    except OSError as error:
        raise PermissionError(str(error)) from None
    if done.returncode:
        raise PermissionError(done.stderr.strip())


def _full(world: World, kind: str, place: Path, family: str, rng: random.Random, outcomes: Outcomes) -> None:
    job = world.fresh(kind, place)
    before, free = set(evidence(job.folder)), rng.choice(FREE)
    if family == "disk full from the start":
        fill(place, free)
    at_work = child(world.folder / "job-on-a-full-disk", job.act)  # what it tells lies on another disk
    if family == "disk filled up":
        time.sleep(rng.uniform(0, 0.9) * world.seconds[kind])
        fill(place, free)
    ended = at_work.wait()
    with contextlib.suppress(SecateurError):
        _listed(job, family, outcomes)
    (place / BALLAST).unlink()
    outcomes.injected(family, kind)
    told(job, family, ended.said, ended.code, outcomes)
    survived(job, family, before, at_work.acknowledged(), outcomes)
    at_the_end(job, family, outcomes)


def fill(place: Path, free: int) -> None:
    """Take all of a file system but so many bytes, whatever else is written to it meanwhile."""
    with (place / BALLAST).open("ab") as ballast:
        for _ in range(20):
            found = os.statvfs(place)
            more = found.f_bavail * found.f_frsize - free
            if more <= 0:
                return
            with contextlib.suppress(OSError):  # somebody else has taken it
                os.posix_fallocate(ballast.fileno(), ballast.seek(0, os.SEEK_END), more)


def _read_only(world: World, kind: str, place: Path, rng: random.Random, outcomes: Outcomes) -> None:
    """Killed, and the file system becomes read-only: what is there is shown, going on is refused; then it goes on."""
    family, job = "mounted read-only", world.fresh(kind, place)
    at_work = child(world.folder / "job-on-a-read-only-disk", job.act)
    time.sleep(rng.uniform(0.2, 0.9) * world.seconds[kind])
    at_work.kill()
    at_work.wait()
    before = set(evidence(job.folder))
    _mount("-o", "remount,ro", str(place))
    try:
        ended = child(world.folder / "job-on-a-read-only-disk", job.act).wait()
        outcomes.injected(family, kind)
        told(job, family, ended.said, ended.code, outcomes)
        if ended.code == 0 and not ended.said:
            outcomes.bad("unsaid", family, kind, "it went on")
        _listed(job, family, outcomes)
    finally:
        _mount("-o", "remount,rw", str(place))
    survived(job, family, before, at_work.acknowledged(), outcomes)
    at_the_end(job, family, outcomes)


def _listed(job: Job, family: str, outcomes: Outcomes) -> None:
    """Whatever the disk is like, what lies on it can be looked at; or one line says why not."""
    try:
        runs = RunStore(Workspace(job.folder))
        for run in runs.list("sweep"):
            runs.report(run)
    except SecateurError as error:
        outcomes.said(family, f"looking: {error}".replace(str(job.folder), "WORKSPACE"))
        if not one_line(str(error)):
            outcomes.bad("unsaid", family, job.kind, str(error))
