"""What came by merging is shown and never loaded, until a person names it on this machine."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from core import SecateurError, SparsityPlan
from core.cli import group
from core.jobs import launch, strangers
from core.jobs.merging.merge import merge
from core.jobs.run import NEEDED
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission
from core.profiling.request import ProfileRequest
from core.recovery.request import RecoverRequest
from core.recovery.tickets.request import TicketRequest
from core.sensitivity.pairs import PairsRequest
from core.sensitivity.request import SweepRequest
from core.tuning.request import AnchorsRequest
from core.workspace import Workspace


@pytest.fixture
def trap(write_file, tmp_path) -> tuple[Path, Path]:
    """A workload file that leaves a mark if it is run, and the mark."""
    mark = tmp_path / "it-was-run"
    return write_file("trap.py", f"open({str(mark)!r}, 'w').close()\n"), mark


@pytest.fixture
def merged(trap, tmp_path) -> RunStore:
    """A workspace into which one was merged that holds a finished and an interrupted run of the trap."""
    there = RunStore(Workspace(tmp_path / "there"))
    for state, samples in (("finished", 10), ("interrupted", 20)):
        run, _ = there.submit("sweep", str(trap[0]), {"samples": samples})
        there.update(run.id, state=state)
    here = Workspace(tmp_path / "here")
    merge(here, tmp_path / "there")
    return RunStore(here)


@pytest.fixture(autouse=True)
def started(monkeypatch):
    """Runs whose worker was started: the worker runs the file of each."""
    found = []
    monkeypatch.setattr(launch, "_start_worker", lambda runs, *queued: found.extend(run.id for run in queued))
    return found


STARTS = {
    "sweep": lambda runs, ref: launch.start_sweep(runs, SweepRequest(ref)),
    "pairs": lambda runs, ref: launch.start_pairs(runs, PairsRequest(ref)),
    "measure": lambda runs, ref: launch.start_measure(runs, ref, SparsityPlan()),
    "anchors": lambda runs, ref: launch.start_anchors(runs, AnchorsRequest(ref)),
    "profile": lambda runs, ref: launch.start_profile(runs, ref, request=ProfileRequest()),
    "export": lambda runs, ref: launch.start_export(runs, ref, SparsityPlan()),
    "quantize": lambda runs, ref: launch.start_quantize(runs, ref, SparsityPlan()),
    "recover": lambda runs, ref: launch.start_recover(runs, RecoverRequest(ref)),
    "tickets": lambda runs, ref: launch.start_tickets(runs, TicketRequest(ref)),
    "describe": lambda runs, ref: launch.start_describe(runs, [ref]),
    "resume": lambda runs, ref: launch.resume(runs, next(r.id for r in runs.list() if r.state == "interrupted")),
}


@pytest.mark.parametrize("kind", STARTS)
def test_nothing_starts_on_a_file_that_came_by_merging(merged, trap, started, kind):
    with pytest.raises(SecateurError, match=r"came with a merged workspace.*secateur targets"):
        STARTS[kind](merged, str(trap[0]))
    assert not started
    assert not trap[1].exists()
    strangers.confirm(merged.workspace, str(trap[0]))
    STARTS[kind](merged, str(trap[0]))
    assert started


def test_a_model_that_is_known_here_and_a_sample_stay_what_they_are(trap, tmp_path):
    for name in ("there", "here"):
        for ref in (str(trap[0]), "tiny-gpt"):
            RunStore(Workspace(tmp_path / name)).submit("sweep", ref, {"in": name})
    here = Workspace(tmp_path / "here")
    merge(here, tmp_path / "there")
    assert not strangers.is_stranger(here, str(trap[0]))
    empty = Workspace(tmp_path / "empty")
    merge(empty, tmp_path / "there")
    assert [strangers.is_stranger(empty, ref) for ref in (str(trap[0]), "tiny-gpt")] == [True, False]


def test_merging_again_does_not_ask_again_and_a_chain_of_merges_does(merged, trap, tmp_path):
    ref = str(trap[0])
    strangers.confirm(merged.workspace, ref)
    merge(merged.workspace, tmp_path / "there")
    assert not strangers.is_stranger(merged.workspace, ref)
    third = Workspace(tmp_path / "third")  # another machine has confirmed it; nobody here has
    merge(third, merged.workspace.folder)
    assert strangers.is_stranger(third, ref)


def test_naming_the_file_on_the_command_line_confirms_it(merged, trap):
    here = str(merged.workspace.folder)
    assert CliRunner().invoke(group, ["runs", "--workspace", here], obj=[]).exit_code == 0
    assert strangers.is_stranger(merged.workspace, str(trap[0]))
    CliRunner().invoke(group, ["plans", str(trap[0]), "--workspace", here], obj=[])
    assert not strangers.is_stranger(merged.workspace, str(trap[0]))


def test_the_file_of_a_merged_recovery_is_not_written_for_it_would_load_the_other(trap, tmp_path):
    from core.jobs.known.kept_rounds import write_recovered

    there = RunStore(Workspace(tmp_path / "there"))
    run, _ = there.submit("recover", str(trap[0]), {})
    there.update(run.id, state="finished", result={"checkpoint": "recoveries/x"})
    here = RunStore(Workspace(tmp_path / "here"))
    merge(here.workspace, tmp_path / "there")
    with pytest.raises(SecateurError, match="came with a merged workspace"):
        write_recovered(here, here.list("recover")[0], 1)


def exported(store: RunStore, ref: str, folder: str) -> str:
    run, _ = store.submit("export", *plan_submission(ref, SparsityPlan()))
    manifest = {"files": {"secret.txt": {}}, "measured": dict.fromkeys(NEEDED["measure"])}
    store.update(run.id, state="finished", result={"folder": folder, "manifest": manifest})
    return run.id


@pytest.mark.parametrize("how", ["absolute", "upwards", "home", "link"])
def test_of_merged_runs_only_files_inside_the_workspace_are_served(trap, tmp_path, how):
    from dashboard.serving.downloads import bundle_archive, file_of_bundle

    secret = tmp_path / "mine"
    secret.mkdir()
    (secret / "secret.txt").write_text("mine")
    (tmp_path / "mine.zip").write_text("mine")
    there, here = (RunStore(Workspace(tmp_path / name)) for name in ("there", "here"))
    (here.workspace.subfolder("bundles") / "link").symlink_to(secret)
    folder = {"absolute": str(secret), "upwards": "bundles/../../mine", "home": ".", "link": "bundles/link"}[how]
    run = exported(there, str(trap[0]), folder)
    merge(here.workspace, there.workspace.folder)
    assert json.loads(json.dumps(here.get(run).result))["folder"] == folder
    assert file_of_bundle(here, here.get(run), "secret.txt") is None
    assert bundle_archive(here, here.get(run)) is None
    if how == "absolute":  # of a run of our own it is what somebody here has asked for
        own = exported(here, str(trap[0]), folder)
        assert file_of_bundle(here, here.get(own), "secret.txt") == secret / "secret.txt"
