"""Files that are cut short, or of which bytes have changed: database, rounds, bundles, plans, packed files."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from core import SparsityPlan
from core.delivery.bundles.verify import verify_bundle
from core.delivery.packed.packing import write_packed
from core.delivery.packed.unpacking import read_packed
from core.errors import SecateurError
from core.jobs.known.plan_book import PlanBook
from core.jobs.runs import RunStore
from core.recovery.checkpoint import read_checkpoint
from core.workspace import Workspace
from tests.campaign.children import child
from tests.campaign.kills import one_line
from tests.campaign.outcomes import Outcomes
from tests.campaign.works import Job, World, difference, evidence, outcome, submitted, tensors

WAYS = ("cut short", "a byte changed", "a bit flipped", "a page of zeros", "bytes added")


def damaged(path: Path, way: str, rng: random.Random) -> None:
    """Damage a file in one of the ways above."""
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content))
    if way == "cut short":
        del content[at:]
    elif way == "a page of zeros":
        content[at : at + 4096] = bytes(len(content[at : at + 4096]))
    elif way == "bytes added":
        content += rng.randbytes(64)
    else:
        content[at] = rng.choice([b for b in range(256) if b != content[at]]) if "byte" in way else content[at] ^ 4
    path.write_bytes(content)


def databases(world: World, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n damaged databases of a finished sweep: what is read is sound, or left out; a new sweep is right or refuses."""
    whole = world.fresh("exact")
    assert child(whole.folder, whole.act).wait().code == 0
    with whole.runs.workspace.connect() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    kept = world.folder / "whole"
    shutil.copytree(whole.folder, kept)
    for _ in range(n):
        way = rng.choice(WAYS)
        family, folder = f"database: {way}", world.folder / "job-damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder)
        damaged(folder / "secateur.sqlite", way, rng)
        outcomes.injected(family, "exact")
        _listed(folder, family, outcomes)
        _measured_again(world, folder, family, outcomes)


def _listed(folder: Path, family: str, outcomes: Outcomes) -> None:
    def act() -> str | None:
        runs = RunStore(Workspace(folder))
        for run in runs.list():
            runs.report(run)
            PlanBook(runs.workspace).measured(run.workload)
        return None

    _spoken(child(folder, act).wait().said, family, "listing", outcomes)


def _measured_again(world: World, folder: Path, family: str, outcomes: Outcomes) -> None:
    def act() -> str | None:
        job.run = submitted(world, "exact", job.runs).id
        (folder / "again").write_text(job.run, encoding="utf-8")
        return job.act()

    try:
        job = Job(world, "exact", RunStore(Workspace(folder)), "")
    except SecateurError as error:
        _spoken(str(error), family, "exact", outcomes)
        return
    ended = child(folder, act).wait()
    _spoken(ended.said, family, "exact", outcomes)
    if ended.code != 0 or ended.said:
        return
    job.run = (folder / "again").read_text(encoding="utf-8")
    if job.found()[1] != world.expected["exact"][1]:
        outcomes.bad("wrong", family, "exact", "a sweep on a damaged database gives other figures")
    elif missing := set(world.expected["exact"][0]) - set(evidence(folder)):
        outcomes.bad("wrong", family, "exact", f"{len(missing)} rows were not measured again")


def _spoken(said: str, family: str, work: str, outcomes: Outcomes) -> None:
    outcomes.said(family, said.split("job-damaged")[-1] if said else "nothing: what is there is right, or left out")
    if said and not one_line(said):
        outcomes.bad("unsaid", family, work, said)


def rounds(world: World, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n damaged rounds of a recovery: it goes on to the same weights, or refuses."""
    whole = world.fresh("recover")
    assert child(whole.folder, whole.act).wait().code == 0
    kept = world.folder / "whole-recovery"
    shutil.copytree(whole.folder, kept)
    for _ in range(n):
        way = rng.choice(WAYS)
        family, folder = f"round: {way}", world.folder / "job-damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder)
        damaged(rng.choice(sorted(folder.glob("recoveries/*/*.safetensors"))), way, rng)
        outcomes.injected(family, "recover")
        _recovered_again(world, folder, family, outcomes)


def _recovered_again(world: World, folder: Path, family: str, outcomes: Outcomes) -> None:
    job = Job(world, "recover", RunStore(Workspace(folder)), "")
    job.run = submitted(world, "recover", job.runs).id
    ended = child(folder, job.act).wait()
    _spoken(ended.said, family, "recover", outcomes)
    if ended.code == 0 and not ended.said:
        run = job.runs.get(job.run)
        told, expected = outcome(job.runs, run), world.expected["recover"]
        ours, theirs = ({k: v for k, v in one.items() if k != "losses"} for one in (told, expected[1]))
        if ours != theirs:
            outcomes.bad("wrong", family, "recover", difference(ours, theirs))
        for path in sorted(folder.glob("recoveries/*/*.safetensors")):
            try:
                read_checkpoint(path)
            except SecateurError as error:  # an earlier round, which a run that goes on does not read
                _spoken(str(error), family, "recover", outcomes)
                if path.name == Path(told["checkpoint"]).name:
                    outcomes.bad("wrong", family, "recover", "the last round is damaged, and the run finished")
                continue
            if set(tensors(path)) - set(expected[2]):
                outcomes.bad("wrong", family, "recover", f"other weights in {path.name}")


def delivered(world: World, n: int, rng: random.Random, outcomes: Outcomes) -> None:
    """n damaged bundles, plans and packed files: refused in one line, or they say the same as before."""
    whole = world.fresh("export")
    assert child(whole.folder, whole.act).wait().code == 0
    bundle = next(path.parent for path in whole.folder.glob("bundles/*/manifest.json"))
    kept = world.folder / "whole-bundle"
    shutil.copytree(bundle, kept)
    readers: dict[str, Callable[[Path], object]] = {
        "manifest.json": lambda path: verify_bundle(path.parent, str(world.file)),
        "model.safetensors": lambda path: verify_bundle(path.parent, str(world.file)),
        "plan.json": SparsityPlan.read,
        "weights.int8.safetensors": read_packed,
    }
    write_packed({"fc1": torch.arange(64, dtype=torch.float32).reshape(8, 8)}, kept / "weights.int8.safetensors")
    for _ in range(n):
        name, way = rng.choice(sorted(readers)), rng.choice(WAYS)
        folder = world.folder / "job-bundle"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder)
        before = (folder / name).read_bytes()
        damaged(folder / name, way, rng)
        outcomes.injected(f"{name}: {way}", "export")
        if (folder / name).read_bytes() == before:
            continue

        def act(name: str = name, folder: Path = folder) -> str | None:
            readers[name](folder / name)
            return None

        ended = child(folder, act).wait()
        _spoken(ended.said, f"{name}: {way}", "export", outcomes)
        if not ended.said and name != "plan.json":  # which says what it says, in whatever spaces
            outcomes.bad("wrong", f"{name}: {way}", "export", "a changed bundle verifies")
