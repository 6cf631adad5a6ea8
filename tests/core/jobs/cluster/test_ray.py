"""Actors of Ray measure cells with the bits of one worker, whatever becomes of them: with a Ray of a few lines, and
with the real one where it is installed."""

import errno
import gc
import importlib.util
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from core import offline
from core.errors import SecateurError
from core.jobs.cluster import bundles, dispatch, ray_folder, ray_hands
from core.jobs.cluster.bundles import Bundler, Pace
from core.jobs.runs import RunStore
from core.jobs.submissions import sweep_submission
from core.jobs.worker import execute
from core.jobs.works import measuring
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.forwards import dense_scores
from core.sensitivity.measuring import ledger
from core.sensitivity.request import SweepRequest
from core.workspace import Workspace
from tests.core.jobs.cluster.fake_ray import FakeRay
from tests.core.jobs.places.contract import ASKED, PlaceContract, done_here, evidence, net_file, shown

SWEEPS = ("exact", "exact, full passes", "race", "tolerance")


@pytest.fixture(params=SWEEPS)
def place_mode(request):
    """Each kind of run that Ray may measure."""
    return request.param


@pytest.fixture
def tiny(monkeypatch):
    """Bundles of one cell: a tiny model has many."""
    monkeypatch.setattr(bundles, "SECONDS", 0.0)
    monkeypatch.setattr(bundles, "LEAST", 0.0)
    monkeypatch.setattr(dispatch, "LEAST", 0.0)


@pytest.fixture
def fake(monkeypatch, tiny, tmp_path):
    ray = FakeRay()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))  # what lies in the real one is not ours
    monkeypatch.setattr(ray_folder, "place", tempfile.gettempdir)  # whose name is too long for sockets, which it lacks
    monkeypatch.setitem(sys.modules, "ray", ray)
    for name in (*offline.RAY_OFFLINE, *offline.RAY_ALONE, *offline.RAY_JOINS, "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    return ray


def ended_on_ray(workspace, name, ref, address="local"):
    runs, (kind, asked) = RunStore(workspace), ASKED[name]
    ref, request = sweep_submission(asked(ref))
    run, _ = runs.submit(kind, ref, {**request, "ray": address})
    return execute(runs, run.id, later=False)


def done_on_ray(workspace, name, ref):
    ended = ended_on_ray(workspace, name, ref)
    assert ended.state == "finished", ended.error
    return ended


@pytest.mark.model
class TestFakeRay(PlaceContract):
    @pytest.fixture(autouse=True)
    def _ray(self, fake):
        self.ray = fake

    def measured(self, workspace, name, ref):
        ended = done_on_ray(workspace, name, ref)
        assert {number for number, _ in self.ray.bundles} == {1, 2}
        assert not self.ray.is_up
        return ended

    def measured_with_a_kill(self, workspace, name, ref):
        self.ray.die = lambda number, cells: number == 1 and len(self.ray.bundles) > 4 and bool(cells)
        ended = done_on_ray(workspace, name, ref)
        assert len(self.ray.actors) == 3
        return ended


@pytest.mark.model
def test_what_comes_in_another_order_is_told_in_the_order_that_it_was_asked_for(fake, tmp_path):
    fake.last_first = True
    ref, alone, here = net_file(tmp_path), Workspace(tmp_path / "alone"), Workspace(tmp_path / "here")
    assert shown(here, done_on_ray(here, "exact", ref)) == shown(alone, done_here(alone, "exact", ref))
    assert evidence(here) == evidence(alone)


@pytest.mark.model
def test_cells_over_which_actors_die_again_and_again_are_refused_by_name_and_the_rest_is_kept(fake, tmp_path):
    fake.die = lambda number, cells: any(cell.plan.cuts[0].target == "fc2" for cell in cells)
    ended = ended_on_ray(Workspace(tmp_path / "here"), "exact", net_file(tmp_path))
    assert ended.state == "failed"
    assert "3 actors of Ray died while they measured cuts of fc2 (The actor died unexpectedly.)" in ended.error
    fake.die = lambda number, cells: False
    again = RunStore(Workspace(tmp_path / "here"))
    again.requeue(ended.id)
    assert execute(again, ended.id, later=False).state == "finished"


@pytest.mark.model
def test_actors_that_never_come_up_end_the_run_with_a_reason(fake, tmp_path):
    fake.die = lambda number, cells: not cells
    ended = ended_on_ray(Workspace(tmp_path / "here"), "exact", net_file(tmp_path))
    assert "3 actors of Ray died one after the other while they loaded the model" in ended.error


@pytest.mark.model
def test_a_run_says_that_it_waits_for_room_and_is_given_up_where_there_is_none(fake, tmp_path, monkeypatch):
    looks = itertools.count(step=10.0)  # of the clock: no stall of this machine leaves out what is said between
    monkeypatch.setattr(dispatch, "time", types.SimpleNamespace(monotonic=lambda: next(looks)))
    monkeypatch.setattr(dispatch, "LOOK_SECONDS", 0.0)
    said, told = [], RunStore.update

    def update(self, run, **columns):
        said.extend([columns["phase"]] if columns.get("phase") else [])
        told(self, run, **columns)

    monkeypatch.setattr(RunStore, "update", update)
    fake.full = True
    ended = ended_on_ray(Workspace(tmp_path / "here"), "exact", net_file(tmp_path))
    assert ended.error.startswith("no actor of Ray could start within 10 min")
    assert 60 <= next(looks) / 10 <= 63  # looks, in which it was not given up before
    at = said.index("starting Ray")
    assert said[at + 1] == "waiting for Ray to start an actor"
    assert said[at + 2].startswith("waiting for Ray to start an actor; is the cluster full?")
    fake.full = False
    runs = RunStore(Workspace(tmp_path / "here"))
    runs.requeue(ended.id)
    assert execute(runs, ended.id, later=False).state == "finished"
    assert said[-1] == "trying every target"  # as before it waited


@pytest.mark.model
@pytest.mark.parametrize("is_there", [False, True])
def test_where_no_ray_listens_a_run_ends_in_a_line_before_ray_is_asked(fake, tmp_path, is_there):
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        if is_there:
            door.listen()
        address = f"127.0.0.1:{door.getsockname()[1]}"
        ended = ended_on_ray(Workspace(tmp_path / "here"), "exact", net_file(tmp_path), address)
    if is_there:
        assert (ended.state, fake.began["address"]) == ("finished", address)
    else:
        assert (ended.state, fake.began) == ("failed", None)
        assert ended.error.startswith(f"no cluster of Ray to join at {address} ([Errno {errno.ECONNREFUSED}]")
        assert "\n" not in ended.error


def test_who_joins_a_cluster_waits_for_it_as_long_as_the_environment_says_else_not_for_minutes(fake, monkeypatch):
    name = "RAY_py_gcs_connect_timeout_s"
    for before, after in ((None, "10"), ("60", "60")):
        monkeypatch.delenv(name) if before is None else monkeypatch.setenv(name, before)
        ray_hands.RayHands("auto", "cpu", None).close()
        assert os.environ[name] == after


@pytest.mark.model
def test_where_no_temporary_folder_can_be_made_a_run_says_so_and_what_to_do(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    ended = ended_on_ray(Workspace(tmp_path / "here"), "exact", net_file(tmp_path))
    assert (ended.state, fake.began) == ("failed", None)
    assert ended.error.startswith(f"no temporary folder can be made in {tmp_path / 'gone'} (No such file or directory)")
    assert "of at most 16 letters by the variable TMPDIR" in ended.error


def test_a_folder_whose_owner_cannot_be_noted_does_not_stay(fake, monkeypatch):
    def full(*given, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(SecateurError, match=r"no temporary folder can be made in .*No space left on device"):
        ray_folder.new_folder()
    assert os.listdir(tempfile.gettempdir()) == []


def test_where_temporary_files_have_too_long_a_name_for_sockets_ray_gets_a_shorter_folder(monkeypatch):
    for usual, found in (("/scratch/tmp", "/scratch/tmp"), ("/scratch/people/somebody", "/tmp")):
        monkeypatch.setattr(ray_folder.tempfile, "tempdir", usual)
        assert ray_folder.place() == found


@pytest.mark.process
def test_what_a_killed_run_has_left_of_ray_is_removed_at_the_next_and_nothing_else(tmp_path, monkeypatch):
    from core.drafted import named_after_me

    monkeypatch.setattr(ray_folder, "place", lambda: str(tmp_path))
    mine = Path(ray_folder.new_folder())
    names = {
        "secateur-ray-dead": re.sub(r"-\d+$", "-1", named_after_me()),  # my number, another start: it has ended
        "secateur-ray-elsewhere": f"0a0a0a-{os.getpid()}-1",
        "secateur-ray-unsaid": None,
        "ray-of-somebody": re.sub(r"-\d+$", "-1", named_after_me()),
    }
    for name, owner in names.items():
        (tmp_path / name).mkdir()
        if owner is not None:
            (tmp_path / name / "owner").write_text(owner)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    left, other = (
        subprocess.Popen(sleep, env={**os.environ, "HOME": str(home)})
        for home in (tmp_path / "secateur-ray-dead", mine)
    )
    try:
        assert ray_folder.remove_left() == [tmp_path / "secateur-ray-dead"]
        assert not psutil.pid_exists(left.pid)
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({mine.name, *names} - {"secateur-ray-dead"})


@pytest.mark.model
def test_an_actor_with_another_model_is_refused_and_names_its_node(fake, tmp_path, monkeypatch):
    from core.jobs.cluster import remote_model

    own = remote_model.load_workload

    def other(ref):
        workload = own(ref)
        next(workload.model.parameters()).data += 1
        return workload

    monkeypatch.setattr(remote_model, "load_workload", other)
    ended = ended_on_ray(Workspace(tmp_path / "here"), "exact", net_file(tmp_path))
    assert "net is another model here than on the machine that asks" in ended.error
    assert f"process {os.getpid()}" in ended.error


@pytest.mark.model
def test_a_run_that_is_stopped_keeps_what_was_under_way_and_goes_on_from_there(fake, tmp_path):
    ref, workspace = net_file(tmp_path), Workspace(tmp_path / "here")
    runs, (kind, asked) = RunStore(workspace), ASKED["exact"]
    ref, request = sweep_submission(asked(ref))
    run, _ = runs.submit(kind, ref, {**request, "ray": "local"})

    def stop_after_some(number, cells):
        if len(fake.bundles) == 9:
            runs.ask_to_stop(run.id)
            time.sleep(0.15)
        return False

    fake.die = stop_after_some
    assert execute(runs, run.id, later=False).state == "cancelled"
    kept = evidence(workspace)
    assert len(kept) >= len(fake.bundles)
    runs.requeue(run.id)
    ended = execute(runs, run.id, later=False)
    alone = Workspace(tmp_path / "alone")
    assert (ended.state, evidence(workspace)) == ("finished", evidence(alone) if done_here(alone, "exact", ref) else 0)
    assert ended.reused > 0


@pytest.mark.model
@pytest.mark.parametrize(
    ("device", "resources", "asked"),
    [("cpu", {"CPU": 3.0}, {"num_cpus": 1}), ("cuda:1", {"CPU": 1.0, "GPU": 2.0}, {"num_cpus": 0, "num_gpus": 0.5})],
)
def test_an_actor_asks_for_a_core_or_for_half_an_accelerator(fake, device, resources, asked):
    from core.jobs.cluster.ray_hands import RayHands

    fake.resources = resources
    hands = RayHands("local", device, None)
    assert fake.options == {"max_restarts": 0, "max_task_retries": 0, **asked}
    assert hands.n == {"cpu": 3, "cuda:1": 4}[device]
    folder = fake.began["_temp_dir"]
    assert os.path.isdir(folder)
    hands.close()
    assert not os.path.exists(folder)
    fake.resources = {"CPU": 8.0}
    with pytest.raises(SecateurError, match="Ray at local offers no GPU for an actor"):
        RayHands("local", "cuda", None)


def work_of(n_batches, n_cells):
    plans = [SparsityPlan((Cut(f"layer{p}", "weight", 0.5),)) for p in range(n_cells)]
    return [(i, list(enumerate(plans))) for i in range(n_batches)]


def all_bundles(bundler, among=2):
    found = []
    while (bundle := bundler.next(among)) is not None:
        found.append(bundle)
    return found


def test_bundles_take_two_seconds_and_the_end_of_the_work_is_divided():
    # 100 examples at 1 ms: a cell takes 0.1 s, so that 20 of them are a bundle
    found = all_bundles(Bundler(work_of(3, 30), lambda plan: "key", lambda i: 100, Pace(1e-3)))
    sizes = [len(bundle.cells) for bundle in found]
    assert sum(sizes) == 90
    assert sizes[0] == 20
    assert max(sizes) <= 20
    assert sizes[-1] < 20
    assert [(cell.batch, cell.number) for bundle in found for cell in bundle.cells] == [
        (i, p) for i in range(3) for p in range(30)
    ]


def test_cells_of_many_small_batches_make_one_bundle():
    found = all_bundles(Bundler(work_of(40, 2), lambda plan: "key", lambda i: 100, Pace(1e-3)), among=1)
    assert all(10 <= len(bundle.cells) <= 12 for bundle in found[:3])
    assert {cell.batch for cell in found[0].cells} == set(range(6))


def test_a_pace_that_was_seen_makes_the_next_bundle_larger():
    import numpy as np

    from core.sensitivity.evidence import BatchEvidence

    pace = Pace(1e-3)
    bundler = Bundler(work_of(300, 30), lambda plan: "key", lambda i: 100, pace)
    first = bundler.next(1)
    quick = [BatchEvidence(np.zeros(100, np.float32), True, seconds=0.01) for _ in first.cells]
    pace.note(first, quick, seconds=0.2, size=lambda i: 100)
    assert len(bundler.next(1).cells) >= 5 * len(first.cells)


@pytest.mark.parametrize(
    "address", ["", "10.0.0.7", "ray://10.0.0.7:10001", "10.0.0.7:99999", "10.0.0.7:0", "fashion-vit", "x" * 100]
)
def test_what_is_no_address_of_a_cluster_is_refused(address):
    with pytest.raises(SecateurError, match="expected local, auto or HOST:PORT as the address of Ray"):
        SweepRequest("net.py", ray=address)


def test_without_ray_a_sweep_is_the_request_that_it_was_before_there_was_any(tmp_path):
    assert "ray" not in sweep_submission(SweepRequest(net_file(tmp_path)))[1]


def test_where_ray_is_not_installed_the_command_says_what_to_install(monkeypatch):
    from core.sensitivity.search.ray_address import check_there

    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SecateurError, match=r"pip install 'secateur\[ray\]'"):
        check_there()


MANY = {"sparsities": tuple(n / 20 for n in range(1, 20)), "samples": "all", "replay": False}  # 456 cells


@contextmanager
def each_on_disk(then):
    """What was measured is on disk at once, and `then` is told after each writing how many rows there are by now."""
    before = EvidenceStore.add_all

    def add_all(self, *given):
        before(self, *given)
        then(n_measured(self._workspace))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EvidenceStore, "add_all", add_all)
        patch.setattr(ledger, "FLUSH_SECONDS", -1.0)
        patch.setattr(dense_scores, "FLUSH_SECONDS", -1.0)
        patch.setattr(measuring, "CHECK_SECONDS", -1.0)  # and who asks to stop is heard at once
        yield


def die_after(workspace, run, rows):
    """The worker of a run, with bundles of a cell, which is killed as it has so many rows. For a process of its own."""
    bundles.SECONDS = bundles.LEAST = dispatch.LEAST = 0.0
    with each_on_disk(lambda n: n < rows or os.kill(os.getpid(), signal.SIGKILL)):
        execute(RunStore(Workspace(workspace)), run, later=False)


def n_measured(workspace):
    with workspace.connect() as db:
        return db.execute("SELECT COUNT(*) FROM evidence").fetchone()[0]


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(600)
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # Ray's own, which it forgets
@pytest.mark.usefixtures("tiny")
class TestRealRay(PlaceContract):
    modes = ("exact", "race", "tolerance")

    @pytest.fixture(autouse=True)
    def _forgotten(self):
        yield
        gc.collect()  # the warning comes here, not in another test

    def measured(self, workspace, name, ref):
        return done_on_ray(workspace, name, ref)

    def measured_with_a_kill(self, workspace, name, ref):
        killed = []

        def kill():
            while not killed:
                for process in psutil.Process().children(recursive=True):
                    try:
                        if "RemoteModel.measure" in " ".join(process.cmdline()):
                            process.send_signal(signal.SIGKILL)
                            killed.append(process.pid)
                            return
                    except psutil.Error:
                        pass
                time.sleep(0.005)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        try:
            ended = done_on_ray(workspace, name, ref)
            assert killed, "no actor was seen at work"
        finally:
            killed.append(0)
            killer.join()
        return ended

    def test_a_run_that_is_stopped_and_one_whose_driver_is_killed_go_on_from_what_was_measured(self, tmp_path):
        alone, here = Workspace(tmp_path / "alone"), Workspace(tmp_path / "here")
        ref, request = sweep_submission(SweepRequest(net_file(tmp_path), **MANY))
        by_itself = RunStore(alone)
        whole = execute(by_itself, by_itself.submit("sweep", ref, request)[0].id, later=False)
        assert whole.state == "finished", whole.error
        runs = RunStore(here)
        run, _ = runs.submit("sweep", ref, {**request, "ray": "local", "threads": 2})
        with each_on_disk(lambda n: n < 100 or runs.ask_to_stop(run.id)):
            assert execute(runs, run.id, later=False).state == "cancelled"
        kept = n_measured(here)
        assert 100 <= kept < n_measured(alone) - 100

        runs.requeue(run.id)
        driver = f"import sys; from {__name__} import die_after; die_after(*sys.argv[1:3], int(sys.argv[3]))"
        with subprocess.Popen([sys.executable, "-c", driver, str(here.folder), run.id, str(kept + 50)]) as process:
            assert process.wait(timeout=300) == -signal.SIGKILL
        assert kept + 50 <= n_measured(here) < n_measured(alone)
        left = [
            path for path in Path(ray_folder.place()).glob("secateur-ray-*")
            if f"-{process.pid}-" in (path / "owner").read_text()
        ]  # fmt: skip
        assert len(left) == 1
        assert runs.get(run.id).state != "running"
        runs.requeue(run.id)
        ended = execute(runs, run.id, later=False)
        assert (ended.state, ended.error) == ("finished", None)
        assert evidence(here) == evidence(alone)
        assert shown(here, ended) == shown(alone, whole)
        assert not left[0].exists()
        assert not [one for one in psutil.process_iter() if home_of(one) == str(left[0])]


def home_of(process):
    try:
        return process.environ().get("HOME")
    except psutil.Error:
        return None
