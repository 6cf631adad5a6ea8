"""Every place that measures cells keeps the contract of `contract.py`: here, two workers that share, shards merged."""

import os
import signal
import subprocess
import sys
import time

import pytest

from core.jobs.merging.merge import merge
from core.jobs.places import board, claimed, workers
from core.jobs.runs import RunStore
from core.jobs.submissions import sweep_submission
from core.jobs.worker import execute
from core.workspace import Workspace
from tests.core.jobs.places.contract import ASKED, PlaceContract, done_here, submitted


class TestHere(PlaceContract):
    def measured(self, workspace, name, ref):
        return done_here(workspace, name, ref)

    def measured_with_a_kill(self, workspace, name, ref):
        pytest.skip("tests/core/jobs/test_worker.py kills it")


pytestmark = [pytest.mark.process]


def until(condition, seconds=90.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


@pytest.fixture
def two_workers(tmp_path, monkeypatch):
    """Two workers that wait for runs of a workspace, and bundles so small that a tiny model has many."""
    for name in ("LARGEST", "SMALLEST", "DENSE_TIMES", "LOOK_SECONDS"):
        monkeypatch.setattr(claimed, name, 0)
    monkeypatch.setattr(workers, "usable_cores", lambda: 4)
    workspace = Workspace(tmp_path / "here")
    words = [sys.executable, "-P", "-m", "core.jobs.places.helping", str(workspace.folder), "1"]
    processes = [subprocess.Popen(words) for _ in range(2)]
    try:
        until(lambda: len(workers.helpers(workspace)) == 2)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.usefixtures("two_workers")
class TestClaimed(PlaceContract):
    def measured(self, workspace, name, ref):
        waited = []

        def wait_for_help(taken=board.take):
            def take(here, run, helper):
                if not waited:  # of so small a model nothing would be left when a worker is ready
                    until(lambda: any(one.run == run for one in workers.helpers(here)))
                    until(lambda: board.answers(here, run))
                    waited.append(True)
                return taken(here, run, helper)

            return take

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(board, "take", wait_for_help())
            ended = done_here(workspace, name, ref)
        assert sum(one.done for one in workers.helpers(workspace)) > 0
        assert not board.offers(workspace)
        return ended

    def measured_with_a_kill(self, workspace, name, ref):
        runs, killed = RunStore(workspace), []
        own = board.take

        def take(here, run, helper):
            if not killed:
                with here.connect() as db:
                    one = until(lambda: db.execute("SELECT * FROM helpers WHERE run NOTNULL").fetchone())
                if (taken := own(here, run, one["id"])) is not None:  # it has that under way, and dies of it
                    os.kill(one["pid"], signal.SIGKILL)
                    killed.append(taken[0])
            return own(here, run, helper)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(board, "take", take)
            ended = execute(runs, submitted(runs, name, ref).id, later=False)
        assert ended.state == "finished", ended.error
        assert killed
        assert len(workers.helpers(workspace)) == 1
        return ended


class TestShardedAndMerged(PlaceContract):
    def measured(self, workspace, name, ref, lost=None):
        for k in (1, 2):
            part = RunStore(Workspace(workspace.folder.parent / f"part{k}"))
            kind, asked = ASKED[name]
            kind_ref, request = sweep_submission(asked(ref))
            run, _ = part.submit(kind, kind_ref, {**request, "shard": f"{k}/2"})
            ended = execute(part, run.id, later=False)
            assert ended.state == "finished", ended.error
            if k == lost:
                part = RunStore(Workspace(workspace.folder.parent / "again"))
                run, _ = part.submit(kind, kind_ref, {**request, "shard": f"{k}/2"})
                execute(part, run.id, later=False)
            merge(workspace, part.workspace.folder)
        return done_here(workspace, name, ref)

    def measured_with_a_kill(self, workspace, name, ref):
        return self.measured(workspace, name, ref, lost=2)
