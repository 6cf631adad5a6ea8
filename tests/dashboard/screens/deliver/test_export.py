"""Deliver: what an export is asked for, how far it is, what came of it, and whether it is still that."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core import Cut, SparsityPlan, load_workload
from core.delivery.export_steps import MEASURE, PACK, export_steps
from core.delivery.formats.facts import ALWAYS, FORMATS, WANTED, missing
from core.jobs.known.kept_rounds import recovered_path
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission
from core.jobs.worker import execute
from core.numbers import drop_with_interval
from core.recovery.checkpoint import Checkpoint, model_state, write_checkpoint
from core.recovery.history import Round
from core.recovery.round_file import path_of
from core.sensitivity.report import Estimate
from core.workspace import Workspace
from dashboard.screens.deliver.bundles_panel import file_rows, newest_checks
from dashboard.screens.deliver.export_panel import AS_IT_IS, HOW, MARKS, WHY_ONE, absent_text, check_text, step_lines
from dashboard.serving.downloads import bundle_files, file_url, quantized_url, zip_url
from tests.dashboard.conftest import read_table
from tests.dashboard.screens.map.test_channels import GROUP
from tests.dashboard.screens.tune.test_plans import button, texts

PLAN = SparsityPlan((Cut(GROUP, "channel", 0.5),))
WEIGHTS = SparsityPlan((Cut("fc", "weight", 0.5),))


@pytest.fixture
def drafted(coupled):
    """Runs and reference of a model with a plan whose model can be shrunk."""
    runs, ref = coupled
    runs.save_draft(ref, PLAN)
    return runs, ref


def tick(app, form, **names):
    for name, value in names.items():
        app.checkbox(key=f"format-{form}-{name}").set_value(value)
    return app.run()


def newest(runs, started):
    return runs.get(started[-1]).request


def test_every_format_says_what_it_holds_and_how_it_is_checked(drafted, open_screen):
    app = open_screen("deliver", drafted[1])
    said = texts(app)
    for name, facts in FORMATS.items():
        box = app.checkbox(key=f"format-shrunk-{name}")
        assert box.label == f"**{name}**: {facts.holds}"
        assert box.value == (name == ALWAYS or name in WANTED["shrunk"])
        absent = missing(name)
        assert box.disabled == (name == ALWAYS or absent is not None)
        assert (check_text(facts) if absent is None else absent_text(absent)) in said
    assert "checked: every tensor bit for bit, in a process that has no torch; the same bits" in said
    assert "at most 0.0001 apart (relative) · read with onnxruntime" in said


def test_what_nobody_changes_is_asked_for_as_before_and_onnx_may_be_left_out(drafted, started, open_screen):
    runs, ref = drafted
    app = open_screen("deliver", ref)
    assert "A format that cannot hold the model is left out; the bundle is written without it and says why." in texts(
        app
    )
    button(app, "Export").click().run()
    request = newest(runs, started)
    assert (request["form"], "formats" in request, "opset" in request) == ("shrunk", False, False)


def test_chosen_formats_and_the_opset_are_what_is_asked_for(drafted, started, open_screen):
    runs, ref = drafted
    app = tick(open_screen("deliver", ref), "shrunk", pt2=True, compressed=True)
    app.number_input(key="opset-shrunk").set_value(20).run()
    button(app, "Export").click().run()
    request = newest(runs, started)
    assert request["formats"] == ["safetensors", "pt2", "onnx", "compressed"]
    assert request["opset"] == 20
    app = tick(open_screen("deliver", ref), "shrunk", onnx=False)
    button(app, "Export").click().run()
    assert newest(runs, started)["formats"] == ["safetensors"]  # chosen, so it is not left to the usual


def test_without_a_format_of_onnx_there_is_no_opset_to_choose(drafted, started, open_screen):
    runs, ref = drafted
    app = open_screen("deliver", ref)
    app.number_input(key="opset-shrunk").set_value(18).run()
    tick(app, "shrunk", onnx=False, pt2=True)
    assert app.number_input(key="opset-shrunk").disabled
    assert "For the format onnx or compressed." in texts(app)
    button(app, "Export").click().run()
    assert not app.exception
    assert "opset" not in newest(runs, started)


def test_formats_are_chosen_for_each_form_alone(drafted, started, open_screen):
    runs, ref = drafted
    app = open_screen("deliver", ref)
    next(g for g in app.segmented_control if str(g.key).startswith("form-")).set_value("masked").run()
    assert app.checkbox(key="format-masked-onnx").value is False
    tick(app, "masked", huggingface=True)
    button(app, "Export").click().run()
    assert newest(runs, started)["formats"] == ["safetensors", "huggingface"]
    assert newest(runs, started)["form"] == "masked"


def test_every_form_has_its_words():
    assert set(HOW) == set(WHY_ONE) == set(WANTED)


def test_an_export_under_way_shows_each_step_where_it_stands(drafted, started, open_screen):
    runs, ref = drafted
    button(open_screen("deliver", ref), "Export").click().run()
    assert ":material/pending: starting" in texts(open_screen("deliver", ref))
    steps = export_steps("shrunk", ("onnx",))
    runs.update(started[0], state="running", phase=steps[3], started=0.0)
    _alive(runs, started[0])
    said = texts(open_screen("deliver", ref))
    for step in steps[:3]:
        assert f":material/check_circle: {step}" in said
    assert f":material/pending: {steps[3]}" in said
    for step in steps[4:]:
        assert f":material/radio_button_unchecked: {step}" in said
    runs.ask_to_stop(started[0])
    assert "**Exporting**: stopping" in texts(open_screen("deliver", ref))


def _alive(runs, run_id):
    """As if a worker were at it: this process."""
    import psutil

    me = psutil.Process()
    runs.update(run_id, pid=me.pid, pid_started=me.create_time())


def test_steps_before_the_first_and_of_another_phase_mark_none_as_done():
    steps = export_steps("masked", ())
    assert step_lines(steps, None)[0] == ":material/pending: starting"
    assert step_lines(steps, "loading the model")[0] == ":material/pending: loading the model"
    assert all(MARKS[2] in line for line in step_lines(steps, None)[1:])
    assert step_lines(steps, MEASURE)[0] == f":material/pending: {MEASURE}"
    assert [MARKS[0] in line for line in step_lines(steps, PACK)] == [True] * 5 + [False]


@pytest.mark.process
def test_a_refused_format_is_named_with_the_reason(drafted, started, open_screen):
    runs, ref = drafted
    run, _ = runs.submit("export", *plan_submission(ref, PLAN, form="shrunk", formats=["huggingface"]))
    assert execute(runs, run.id).state == "failed"
    assert "the format huggingface cannot hold this model: " in texts(open_screen("deliver", ref))


@pytest.fixture(scope="module")
def delivered_once(swept, coupled_runs, tmp_path_factory):
    """Folder of a workspace with a bundle with ONNX, and the id of its run. Not to be changed."""
    runs, ref = RunStore(Workspace(shutil.copytree(coupled_runs, tmp_path_factory.mktemp("once") / "ws"))), swept[1]
    runs.save_draft(ref, PLAN)
    run, _ = runs.submit("export", *plan_submission(ref, PLAN, form="shrunk"))
    assert execute(runs, run.id).state == "finished"
    return runs.workspace.folder, run.id


@pytest.fixture
def delivered(swept, delivered_once, tmp_path, monkeypatch):
    """Runs, reference and the run of a bundle with ONNX, in a copy that the test may change."""
    folder, run = delivered_once
    runs = RunStore(Workspace(shutil.copytree(folder, tmp_path / "delivered")))
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(runs.workspace.folder))
    return runs, swept[1], runs.get(run)


def test_a_bundle_lists_formats_with_their_checks_and_files_with_sizes_to_download(delivered, open_screen):
    runs, ref, export = delivered
    app = open_screen("deliver", ref)
    said, files = texts(app), export.result["manifest"]["files"]
    assert "outputs, in a process that has ONNX Runtime and no torch" in said
    assert [link.proto.url for link in app.get("link_button")] == [zip_url(export.id)]
    rows = file_rows(export)
    assert len(rows) == len(files) + 1 == len(bundle_files(export))
    assert "| [`manifest.json`](" + file_url(export.id, "manifest.json") in rows[0]
    for row in rows:
        assert row in said
    assert any("model.onnx" in row and "onnx: an ONNX graph" in row for row in rows)
    assert Path(f"{runs.bundle_folder(export)}.zip").is_file()


def test_a_file_name_of_a_foreign_manifest_cannot_break_the_table(delivered):
    runs, _, export = delivered
    manifest = {**export.result["manifest"], "files": {"a|b`](x) c": {"bytes": 3, "format": "odd"}}}
    runs.update(export.id, result={**export.result, "manifest": manifest})
    row = file_rows(runs.get(export.id))[1]
    assert row == f"| [`ab](x) c`](bundles/{export.id}/a%7Cb%60%5D%28x%29%20c) | odd | 3 B |"


@pytest.mark.process
def test_a_bundle_is_verified_with_one_click_and_says_when(delivered, worker_here, open_screen):
    runs, ref, export = delivered
    app = open_screen("deliver", ref)
    assert "Verified again" not in " ".join(box.value for box in app.success)
    app.button(key=f"verify-{export.id}").click().run()
    assert not app.exception, app.exception
    (check,) = runs.list("verify", ref)
    assert (check.state, check.request) == ("finished", {"bundle": export.id})
    said = " ".join(box.value for box in app.success)
    assert f"{len(export.result['manifest']['files'])} files" in said
    assert "the zip is as it was sealed" in said
    assert "read by a fresh process each: safetensors the same bits, onnx " in said
    assert re.search(r"it measures accuracy \d+\.\d\d %, n = 120, as its manifest says", said)  # in its unit


@pytest.mark.process
def test_a_changed_bundle_is_not_verified_and_the_newest_check_counts(delivered, worker_here, open_screen):
    runs, ref, export = delivered
    app = open_screen("deliver", ref)
    app.button(key=f"verify-{export.id}").click().run()
    (runs.bundle_folder(export) / "card.md").write_text("better than it is")
    app.button(key=f"verify-{export.id}").click().run()
    assert not app.success
    said = " ".join(box.value for box in app.error)
    assert "Not verified, " in said
    assert "card.md in " in said
    assert "is not the file that was exported (its hash differs)" in said


def test_a_check_under_way_shows_its_phase_and_one_that_was_stopped_says_nothing(delivered, started, open_screen):
    runs, ref, export = delivered
    app = open_screen("deliver", ref)
    app.button(key=f"verify-{export.id}").click().run()
    check = started[-1]
    assert app.button(key=f"verify-{export.id}").disabled
    runs.update(check, state="running", phase="reading onnx in a fresh process")
    _alive(runs, check)
    assert "Verifying: reading onnx in a fresh process" in texts(open_screen("deliver", ref))
    runs.update(check, state="cancelled", started=1.0)
    said = texts(open_screen("deliver", ref))
    assert "was stopped, so it says nothing" in said
    assert not open_screen("deliver", ref).button(key=f"verify-{export.id}").disabled


def test_a_bundle_whose_files_are_gone_can_be_neither_verified_nor_downloaded(delivered, open_screen):
    runs, ref, export = delivered
    folder = runs.bundle_folder(export)
    shutil.rmtree(folder)
    Path(f"{folder}.zip").unlink()
    app = open_screen("deliver", ref)
    assert "Its files were removed." in texts(app)
    assert app.button(key=f"verify-{export.id}").disabled
    assert not app.get("link_button")


def test_of_several_checks_of_a_bundle_the_newest_counts(coupled):
    runs, ref = coupled
    ids = [runs.submit("verify", ref, {"bundle": bundle})[0].id for bundle in ("a", "b")]
    runs.update(ids[0], state="finished")
    again = runs.submit("verify", ref, {"bundle": "a"})[0].id
    found = newest_checks(runs.list("verify", ref))
    assert {bundle: run.id for bundle, run in found.items()} == {"a": again, "b": ids[1]}


def test_the_plans_model_and_the_dense_one_can_be_quantized(drafted, started, open_screen):
    runs, ref = drafted
    app = open_screen("deliver", ref)
    chosen = next(s for s in app.selectbox if s.label == "Model to quantize")
    assert chosen.options == ["the plan's model, shrunk", "the dense model"]
    assert "A fresh process reads the file and compares every tensor" in texts(app)
    app.number_input(key="quantize-bits").set_value(4).run()
    app.button(key="quantize").click().run()
    request = newest(runs, started)
    assert SparsityPlan.from_document(request["plan"]) == PLAN
    assert (request["form"], request["scheme"], request["bits"], request["out"]) == ("shrunk", "weight", 4, None)
    runs.update(started[-1], state="cancelled")
    app = open_screen("deliver", ref)
    next(s for s in app.selectbox if s.label == "Model to quantize").set_value("the dense model").run()
    app.number_input(key="quantize-bits").set_value(4).run()
    app.selectbox(key="quantize-scheme").set_value("dynamic").run()
    assert app.number_input(key="quantize-bits").disabled
    assert "ONNX Runtime reads the file back, and what came back is measured on all 120 examples." in texts(app)
    app.button(key="quantize").click().run()
    request = newest(runs, started)
    assert not SparsityPlan.from_document(request["plan"]).cuts
    assert (request["form"], request["scheme"], request["bits"]) == ("masked", "dynamic", 8)


def test_without_a_plan_the_dense_model_can_be_quantized_and_nothing_exported(coupled, open_screen):
    app = open_screen("deliver", coupled[1])
    assert next(s for s in app.selectbox if s.label == "Model to quantize").options == ["the dense model"]
    assert "Export" not in [b.label for b in app.button]


@pytest.mark.process
def test_a_quantized_file_is_shown_with_bytes_and_metric_and_offered_from_disk(drafted, worker_here, open_screen):
    runs, ref = drafted
    app = open_screen("deliver", ref)
    app.button(key="quantize").click().run()
    assert not app.exception, app.exception
    (run,) = runs.list("quantize", ref)
    assert run.state == "finished", run.error
    said = texts(app)
    assert runs.quantized_file(run).name in said
    assert "int8 weight, packed" in said
    assert "n = 120" in said
    assert [link.proto.url for link in app.get("link_button")] == [quantized_url(run.id)]
    frame = side_by_side(app)
    row = frame[frame["model"] == "quantized, int8 weight, of the shrunk model"].iloc[0]
    assert row["milliseconds"] == "not timed"
    assert "n = 120 throughout." in said
    runs.quantized_file(run).unlink()
    app = open_screen("deliver", ref)
    assert "Its file was removed." in texts(app)
    assert not app.get("link_button")


def test_a_quantization_under_way_shows_its_phase_and_one_that_failed_says_why(drafted, started, open_screen):
    runs, ref = drafted
    app = open_screen("deliver", ref)
    app.button(key="quantize").click().run()
    runs.update(started[0], state="running", phase="quantizing and packing")
    _alive(runs, started[0])
    assert "Quantizing: quantizing and packing" in texts(open_screen("deliver", ref))
    runs.update(started[0], state="failed", error="the disk is full; free some space")
    assert "The newest quantization failed: the disk is full" in texts(open_screen("deliver", ref))


@pytest.mark.process
def test_what_was_made_of_an_earlier_version_of_the_model_says_so(drafted, worker_here, open_screen):
    runs, ref = drafted
    button(open_screen("deliver", ref), "Quantize").click().run()
    found, _ = runs.description(ref)
    runs.remember(dataclasses.replace(found, fingerprint="of another time"))
    app = open_screen("deliver", ref)
    assert "Made of an earlier version of the model." in texts(app)
    assert "quantized" not in " ".join(side_by_side(app)["model"])


def side_by_side(app):
    return read_table(app, "bytes on disk")


def test_models_stand_side_by_side_with_what_was_measured_and_without_what_was_not(delivered, open_screen):
    _, ref, export = delivered
    app = open_screen("deliver", ref)
    frame = side_by_side(app)
    assert frame["model"].tolist() == ["dense", "pruned, masked", "pruned, shrunk"]
    assert "n = 120 of accuracy and drop." in texts(app)
    assert frame["drop"].tolist()[0] == ""
    dense, masked, shrunk = frame["milliseconds"].tolist()  # those on the bundle's card
    times = export.result["manifest"]["times"]["timings"]
    (rounds,) = {t["n"] for t in times if t["variant"] in ("dense", "shrunk")}
    assert f"n = {rounds} of milliseconds." in texts(app)
    assert all(cell.endswith("]") for cell in (dense, shrunk))  # value and interval
    assert masked == "not timed"
    assert frame["times as fast"].tolist()[:2] == ["", "not timed"]
    assert " × [" in frame["times as fast"].tolist()[2]
    sizes = [row["bytes"] for row in export.result["manifest"]["variants"]]
    assert frame["bytes on disk"].tolist()[1] == "not measured"  # nobody wrote the masked one
    assert sizes[1] < sizes[0]
    assert frame["of dense"].tolist()[:2] == ["100 %", ""]


@pytest.fixture
def recovered(coupled):
    """Runs, reference, and a recovery whose two rounds are kept: in the first every third weight of `fc` is zero."""
    runs, ref = coupled
    (found, _), workload = runs.description(ref), load_workload(ref)
    folder = runs.workspace.folder / "recoveries" / "abc"
    drop = Estimate(0.05, 0.01, 0.09, 120)
    rows = [Round(i, 0.2 * i, None, Estimate(0.95 - 0.1 * i, 0.6, 0.99, 120), drop, 4, 1.0) for i in (1, 2)]
    with torch.no_grad():
        workload.model.fc.weight.flatten()[::3] = 0.0
    for row in rows:
        state = model_state(workload.model)
        write_checkpoint(folder, Checkpoint(tuple(rows[: row.iteration]), "key", "dense", state, {}, {}, {}, "adamw"))
    run, _ = runs.submit("recover", ref, {"start": None})
    told = {
        "model": found.fingerprint, "metric": dataclasses.asdict(found.scale), "dense": None, "best": 1,
        "history": [row.to_json() for row in rows], "losses": [], "schedule": [0.2, 0.4],
        "checkpoint": f"recoveries/abc/{path_of(folder, 2).name}",
    }  # fmt: skip
    runs.update(run.id, state="finished", result=told)
    return runs, ref, runs.get(run.id)


def choose_round(app, ref, run, number):
    box = app.selectbox(key=f"plan-{ref}")
    return box.set_value(
        next(o for o in box.options if o.startswith(f"recovered in run {run.id}, round {number}"))
    ).run()


def test_every_kept_round_can_be_chosen_and_without_a_plan_nothing_else(recovered, open_screen):
    runs, ref, run = recovered
    offered = open_screen("deliver", ref).selectbox(key=f"plan-{ref}").options
    assert offered == [
        f"recovered in run {run.id}, round 2: 40 % gone, accuracy 75.00 %",
        f"recovered in run {run.id}, round 1: 20 % gone, accuracy 85.00 %, best within the tolerance",
    ]
    path_of(runs.workspace.folder / "recoveries" / "abc", 2).unlink()
    assert open_screen("deliver", ref).selectbox(key=f"plan-{ref}").options == offered[1:]


@pytest.mark.process
def test_a_recovered_round_is_exported_with_its_zeros_and_verified_again(recovered, worker_here, open_screen):
    runs, ref, run = recovered
    app = choose_round(open_screen("deliver", ref), ref, run, 1)
    assert AS_IT_IS in texts(app)
    assert not [group for group in app.segmented_control if str(group.key).startswith("form-")]
    button(app, "Export").click().run()
    assert not app.exception, app.exception
    path = str(recovered_path(runs, run, 1))
    (export,) = runs.list("export")
    assert (export.state, export.workload, export.request["plan"]["cuts"]) == ("finished", path, [])
    folder = runs.bundle_folder(export)
    assert folder.name == f"attentive-recovered-round-1-{export.id}"  # as a shell takes it
    weight = load_file(folder / "model.safetensors")["fc.weight"].flatten()
    assert (weight[::3] == 0).all()
    assert (weight[1::3] != 0).all()
    rows = {row["name"]: row for row in export.result["manifest"]["variants"]}
    assert list(rows) == ["dense", "pruned, not trained", "recovered"]
    said = texts(app)
    assert f"of the model recovered in run {run.id}, round 1" in said
    assert "\nas it is  \ndense " in said
    assert (
        f"· drop {drop_with_interval(runs.description(ref)[0].scale, Estimate(**rows['recovered']['drop']))} ·" in said
    )
    app.button(key=f"verify-{export.id}").click().run()
    assert "Verified again" in " ".join(box.value for box in app.success)
    frame = side_by_side(app)
    assert frame[frame["model"].str.startswith("recovered")]["bytes on disk"].tolist() != ["not measured"]


@pytest.mark.process
def test_a_recovered_round_is_quantized(recovered, worker_here, open_screen):
    runs, ref, run = recovered
    app = choose_round(open_screen("deliver", ref), ref, run, 2)
    chosen = next(s for s in app.selectbox if s.label == "Model to quantize")
    assert chosen.options == [f"recovered round 2 of run {run.id}", "the dense model"]
    app.button(key="quantize").click().run()
    assert not app.exception, app.exception
    (packed,) = runs.list("quantize")
    assert (packed.state, packed.workload) == ("finished", str(recovered_path(runs, run, 2)))
    assert f"of the model recovered in run {run.id}, round 2" in texts(app)
    names = side_by_side(app)["model"].tolist()
    assert "quantized, int8 weight, of recovered round 2: 40 % gone" in names


def test_a_click_for_a_round_that_went_meanwhile_exports_nothing_else_in_its_place(recovered, started, open_screen):
    runs, ref, run = recovered
    app = choose_round(open_screen("deliver", ref), ref, run, 1)
    (offered,) = [b for b in app.button if b.label == "Export"]
    path_of(runs.workspace.folder / "recoveries" / "abc", 1).unlink()
    offered.click().run()
    assert not app.exception, app.exception
    assert not started


@pytest.mark.process
def test_a_format_that_cannot_hold_the_model_is_left_out_and_listed_with_the_reason(drafted, worker_here, open_screen):
    runs, ref = drafted
    app = tick(open_screen("deliver", ref), "shrunk", onnx=False, huggingface=True)
    button(app, "Export").click().run()
    (export,) = runs.list("export")
    assert (export.state, export.request["skip_refused"]) == ("finished", True)
    manifest = export.result["manifest"]
    assert list(manifest["formats"]) == ["safetensors"]
    (said,) = [box.value for box in app.warning]
    assert said.startswith("Left out, for it cannot hold this model:")
    assert f"no huggingface: {manifest['refused']['huggingface']}" in said


@pytest.mark.process
def test_an_export_that_a_format_stopped_is_made_without_it_with_one_click(drafted, worker_here, open_screen):
    runs, ref = drafted
    run, _ = runs.submit("export", *plan_submission(ref, PLAN, form="shrunk", formats=["huggingface"]))
    assert execute(runs, run.id).state == "failed"
    app = open_screen("deliver", ref)
    app.button(key="export-again").click().run()
    assert not app.exception, app.exception
    again = runs.list("export", ref)[0]
    assert (again.id != run.id, again.state) == (True, "finished")
    assert list(again.result["manifest"]["refused"]) == ["huggingface"]
    assert not [b for b in app.button if b.key == "export-again"]


def test_what_was_stopped_is_no_failure_of_a_format(drafted, started, open_screen):
    runs, ref = drafted
    run, _ = runs.submit("export", *plan_submission(ref, PLAN, form="shrunk", formats=["pt2"]))
    runs.update(run.id, state="cancelled", started=1.0)
    app = open_screen("deliver", ref)
    assert "The newest export was stopped, so nothing was written." in texts(app)
    assert not [b for b in app.button if b.key == "export-again"]
