"""A bundle is verified again as a run: what was compared is kept, what is wrong is said, and it can be stopped."""

import json
import os
import shutil

import pytest

from core import Cut, SecateurError, SparsityPlan, SweepRequest
from core.delivery.export_steps import export_steps
from core.delivery.formats.facts import FORMATS
from core.jobs import launch
from core.jobs.runs import RunStore
from core.jobs.worker import execute
from core.workspace import Workspace

pytestmark = pytest.mark.process

PLAN = SparsityPlan((Cut("fc1", "weight", 0.5),))
GROUP = SparsityPlan((Cut("fc1", "channel", 0.5),))


@pytest.fixture(scope="module")
def exported_once(net_text, tmp_path_factory):
    """Folder with a workspace that holds one bundle of the small net; the id of its run."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "net.py").write_text(net_text)
    runs = RunStore(Workspace(folder / "ws"))
    run, _ = runs.submit("export", *launch.plan_submission(str(folder / "net.py"), PLAN, formats=["onnx"]))
    assert execute(runs, run.id).state == "finished"
    return folder, run.id


@pytest.fixture
def exported(exported_once, tmp_path):
    """Runs of a copy that a test may change, the run of the export, and the folder of its bundle."""
    folder, run_id = exported_once
    shutil.copytree(folder / "ws", tmp_path / "ws")
    runs = RunStore(Workspace(tmp_path / "ws"))
    return runs, runs.get(run_id), runs.bundle_folder(runs.get(run_id))


def verified(runs, export):
    run, is_new = launch.start_verify(runs, export.id)
    assert is_new
    return runs.get(run.id)


def change_a_byte(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        before = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([before[0] ^ 1]))


def test_a_whole_bundle_is_verified_with_every_format_and_the_result_is_kept(exported, worker_here):
    runs, export, _ = exported
    run = verified(runs, export)
    assert (run.kind, run.workload, run.state, run.error) == ("verify", export.workload, "finished", None)
    result, manifest = run.result, export.result["manifest"]
    assert result["verified"] is True
    assert result["zip"] is True
    assert set(result["formats"]) == {"safetensors", "onnx"}
    assert (result["n"], result["files"]) == (40, len(manifest["files"]))
    assert result["metric"] == pytest.approx(manifest["measured"]["pruned"]["value"])
    assert run.ended >= run.started


@pytest.mark.parametrize("name", ["model.safetensors", "plan.json", "manifest.json", "model.onnx", "card.html"])
def test_a_changed_byte_of_any_file_is_the_reason_of_a_failed_run(exported, worker_here, name):
    runs, export, folder = exported
    change_a_byte(folder / name)
    run = verified(runs, export)
    assert run.state == "failed"
    assert name in run.error
    assert run.result is None


def test_a_changed_byte_of_the_zip_is_seen_too_and_a_zip_that_is_gone_is_not_told_of(exported, worker_here):
    runs, export, folder = exported
    archive = folder.with_name(f"{folder.name}.zip")
    change_a_byte(archive)
    assert "is not the archive that was exported" in verified(runs, export).error
    archive.unlink()
    assert verified(runs, export).result["zip"] is False


def test_another_bundle_that_was_put_in_its_place_is_refused_although_it_is_whole(exported, worker_here):
    runs, export, folder = exported
    other, _ = runs.submit(
        "export", *launch.plan_submission(export.workload, SparsityPlan((Cut("fc2", "weight", 0.5),)))
    )
    there = runs.bundle_folder(execute(runs, other.id))
    shutil.rmtree(folder)
    shutil.copytree(there, folder)
    assert f"holds another bundle than run {export.id} wrote" in verified(runs, export).error


def test_a_bundle_whose_files_are_gone_fails_with_what_to_name(exported, worker_here):
    runs, export, folder = exported
    shutil.rmtree(folder)
    assert "is not a bundle" in verified(runs, export).error


def test_only_a_finished_export_can_be_verified(exported):
    runs, export, _ = exported
    sweep, _ = runs.submit("sweep", export.workload, {})
    with pytest.raises(SecateurError, match=f"run {sweep.id} wrote no bundle"):
        launch.start_verify(runs, sweep.id)
    runs.update(export.id, state="failed")
    with pytest.raises(SecateurError, match=f"run {export.id} wrote no bundle"):
        launch.start_verify(runs, export.id)


def test_a_stop_is_heard_while_a_bundle_is_verified(exported, monkeypatch):
    runs, export, _ = exported
    phases = []
    update = runs.update

    def watched(run_id, **columns):
        update(run_id, **columns)
        if "comparing every tensor" in (columns.get("phase") or ""):
            phases.append(columns["phase"])
            runs.ask_to_stop(run_id)

    monkeypatch.setattr(runs, "update", watched)
    monkeypatch.setattr("core.jobs.works.measuring.CHECK_SECONDS", -1.0)  # every check asks, however quick the rest is
    run, _ = runs.submit("verify", export.workload, {"bundle": export.id})
    assert execute(runs, run.id).state == "cancelled"
    assert len(phases) == 1


@pytest.mark.parametrize(
    ("form", "plan", "formats"), [("masked", PLAN, ()), ("masked", PLAN, ("pt2", "onnx")), ("shrunk", GROUP, ("onnx",))]
)
def test_the_steps_of_an_export_are_the_phases_that_it_tells_in_that_order(
    net_file, tmp_path, monkeypatch, form, plan, formats
):
    runs = RunStore(Workspace(tmp_path / "ws"))
    told = []
    update = runs.update

    def watched(run_id, **columns):
        told.extend([columns["phase"]] if columns.get("phase") else [])
        update(run_id, **columns)

    monkeypatch.setattr(runs, "update", watched)
    run, _ = runs.submit("export", *launch.plan_submission(str(net_file), plan, form=form, formats=formats))
    assert execute(runs, run.id).state == "finished"
    steps = export_steps(form, formats)
    assert [phase for phase in told if phase in steps] == list(steps)
    assert told[-len(steps) :] == list(steps)  # nothing else is told in between


def test_steps_name_every_format_that_was_asked_for():
    steps = export_steps("shrunk", FORMATS)
    assert [sum(f" {name} " in step for step in steps) for name in FORMATS] == [1] * len(FORMATS)
    assert len(steps) == 6 + len(FORMATS)
    assert len(export_steps("masked", ())) == 6  # no shrinking, and safetensors


@pytest.mark.parametrize(("scheme", "suffix"), [("weight", ".safetensors"), ("dynamic", ".onnx")])
def test_a_quantized_file_without_a_place_goes_into_the_workspace_and_moves_with_it(
    net_file, tmp_path, worker_here, scheme, suffix
):
    runs = RunStore(Workspace(tmp_path / "ws"))
    run = runs.get(launch.start_quantize(runs, str(net_file), PLAN, scheme=scheme)[0].id)
    assert run.state == "finished", run.error
    path = runs.quantized_file(run)
    assert (path.parent, path.suffix) == (runs.workspace.folder / "quantized", suffix)
    assert path.stat().st_size == run.result["bytes"]["packed"]
    (tmp_path / "ws").rename(tmp_path / "moved")
    moved = RunStore(Workspace(tmp_path / "moved"))
    assert moved.quantized_file(moved.get(run.id)).is_file()


def test_what_a_killed_worker_has_left_does_not_keep_the_run_from_going_on(net_file, tmp_path):
    runs = RunStore(Workspace(tmp_path / "ws"))
    run, _ = runs.submit("quantize", *_quantize(net_file))
    left = runs.workspace.subfolder("quantized") / f"net-{PLAN.fingerprint()[:8]}-{run.id}.safetensors"
    left.write_bytes(b"half a file")
    assert execute(runs, run.id).state == "finished"
    assert runs.quantized_file(runs.get(run.id)) == left
    assert left.read_bytes() != b"half a file"


def test_an_export_killed_after_its_bundle_was_placed_writes_it_anew(exported):
    runs, export, folder = exported
    (folder / "model.safetensors").write_bytes(b"of the killed")
    with runs.workspace.write() as db:  # it did not come to say that it had finished
        db.execute("UPDATE runs SET state = 'interrupted', result = NULL")
    runs.requeue(export.id)
    assert execute(runs, export.id).state == "finished"
    assert runs.bundle_folder(runs.get(export.id)) == folder
    assert (folder / "model.safetensors").stat().st_size > 100
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f"{folder.name}.zip"}


@pytest.mark.parametrize("kind", ["export", "quantize"])
def test_what_a_killed_worker_has_placed_stays_where_it_is_if_it_cannot_be_written_anew(
    exported, net_file, monkeypatch, kind
):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    runs, run, path = exported
    if kind == "quantize":
        run, _ = runs.submit("quantize", *_quantize(net_file))
        path = runs.quantized_file(execute(runs, run.id))
    with runs.workspace.write() as db:
        db.execute("UPDATE runs SET state = 'interrupted', result = NULL WHERE id = ?", (run.id,))
    before = _bytes_under(path.parent)
    assert before
    runs.requeue(run.id)
    monkeypatch.setattr("core.delivery.bundles.bundle.write_zip", full)
    monkeypatch.setattr("core.delivery.packed.packing.save_file", full)
    assert "No space left on device" in execute(runs, run.id).error
    assert _bytes_under(path.parent) == before
    monkeypatch.undo()
    runs.requeue(run.id)
    assert execute(runs, run.id).state == "finished"
    assert _bytes_under(path.parent).keys() == before.keys()


def _bytes_under(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_of_another_kind_has_no_quantized_file_and_one_elsewhere_stays_where_it_is(net_file, tmp_path):
    runs = RunStore(Workspace(tmp_path / "ws"))
    sweep, _ = runs.submit("sweep", str(net_file), json.loads(json.dumps(vars(SweepRequest(str(net_file))))))
    assert runs.quantized_file(sweep) is None
    run, _ = runs.submit("quantize", *_quantize(net_file, tmp_path / "q.safetensors"))
    assert runs.quantized_file(run) is None  # not finished
    execute(runs, run.id)
    assert runs.quantized_file(runs.get(run.id)) == tmp_path / "q.safetensors"


def _quantize(net_file, out=None):
    ref, request = launch.plan_submission(str(net_file), PLAN, out=out, form="masked")
    return ref, {**request, "scheme": "weight", "bits": 8}
