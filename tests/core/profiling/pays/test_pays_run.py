"""A comparison of engines as a run: kept engine by engine, and gone on with."""

import json
from dataclasses import asdict, replace

import pytest

from core import load_workload
from core.delivery.manifest import read_manifest
from core.jobs.known.sizes import pays_of
from core.jobs.runs import RunStore
from core.jobs.submissions import pays_submission, plan_submission
from core.jobs.worker import execute
from core.jobs.works import profiling as works
from core.plans.plan import Cut, SparsityPlan
from core.profiling.machine import this_machine
from core.profiling.pays import measure
from core.profiling.pays.report import VARIANTS, PaysReport, Row
from core.profiling.pays.request import PaysRequest
from core.profiling.report import Machine
from core.workload.identity.fingerprint import model_fingerprint
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur

PLAN = SparsityPlan((Cut("fc1", "weight", 0.9),))
QUICK = {"rounds": 6, "seconds": 0.01}


def test_a_run_that_goes_on_measures_only_the_engines_that_it_has_not(net_file, tmp_path, monkeypatch):
    runs = RunStore(Workspace(tmp_path / "ws"))
    run, _ = runs.submit("pays", *pays_submission(str(net_file), PLAN, PaysRequest(("eager", "sparse"), **QUICK)))
    asked = []
    ready = measure._rows

    def stop_before_sparse(comparison, name, folder, models):
        asked.append(name)
        if name == "sparse" and len(asked) == 2:
            raise RuntimeError("the power is gone")
        return ready(comparison, name, folder, models)

    monkeypatch.setattr(measure, "_rows", stop_before_sparse)
    assert execute(runs, run.id).state == "failed"
    first = runs.pays_report(runs.get(run.id)).rows
    assert [(row.engine, row.variant) for row in first] == [("eager", variant) for variant in VARIANTS]
    runs.requeue(run.id)
    done = execute(runs, run.id)
    assert (done.state, done.done, done.reused, done.total) == ("finished", 2, 1, 2)
    assert asked == ["eager", "sparse", "sparse"]
    report = runs.pays_report(done)
    assert report.rows[: len(VARIANTS)] == first
    by = {(row.engine, row.variant): row for row in report.rows}
    assert by["eager", "masked"].difference == 0
    assert "single weights alone" in by["eager", "shrunk"].reason
    assert all(row.reason is not None or row.seconds > 0 for row in report.rows)


def test_a_run_that_goes_on_elsewhere_measures_all_engines_there_and_mixes_no_rows(net_file, tmp_path, monkeypatch):
    runs = RunStore(Workspace(tmp_path / "ws"))
    run, _ = runs.submit("pays", *pays_submission(str(net_file), PLAN, PaysRequest(("eager", "sparse"), **QUICK)))
    real, asked = measure._rows, []

    def stop_before_sparse(comparison, name, folder, models):
        asked.append(name)
        if asked == ["eager", "sparse"]:
            raise RuntimeError("the power is gone")
        return real(comparison, name, folder, models)

    monkeypatch.setattr(measure, "_rows", stop_before_sparse)
    assert execute(runs, run.id).state == "failed"
    here = runs.pays_report(runs.get(run.id))
    assert {row.engine for row in here.rows} == {"eager"}
    monkeypatch.setattr(works, "this_machine", lambda device: replace(this_machine(device), cpu="Another"))
    runs.requeue(run.id)
    done = execute(runs, run.id)
    assert (done.state, done.reused) == ("finished", 0)
    assert asked == ["eager", "sparse", "eager", "sparse"]
    there = runs.pays_report(done)
    assert there.machine == replace(here.machine, cpu="Another")
    assert [row.engine for row in there.rows] == ["eager"] * len(VARIANTS) + ["sparse"] * len(VARIANTS)
    assert not {row.seconds for row in there.rows if row.seconds} & {row.seconds for row in here.rows if row.seconds}


@pytest.mark.process
def test_the_command_tells_every_cell_or_its_reason(net_file, tmp_path, monkeypatch):
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "ws"))
    (tmp_path / "plan.json").write_text(PLAN.to_json())
    words = ("pays", net_file, tmp_path / "plan.json", "--engines", "eager,ncnn", "--rounds", 6, "--seconds", 0.1)
    document = document_of(*words)
    rows = document["report"]["rows"]
    assert [row["variant"] for row in rows] == [*VARIANTS, *VARIANTS]
    assert all(row["verdict"] for row in rows)
    said = secateur("show", document["run"]["id"]).stdout
    assert "what the others of this engine are compared with" in said
    assert "zlib, level 6" in said
    for row in rows:  # a name in brackets is no markup
        if row["reason"]:
            assert row["reason"] in said
    assert json.loads(secateur("show", document["run"]["id"], "--json").stdout)["report"]["rows"] == rows
    assert "no engine 'tvm'" in refused(*words[:3], "--engines", "tvm")
    assert "expected values such as litert=" in refused(*words[:3], "--python", "litert")


def finished(runs, plan, model="here", state="finished", seconds=0.002):
    run, _ = runs.submit(
        "pays", "net", {"plan": plan.to_document(), "pays": asdict(PaysRequest()), "number": len(runs.list())}
    )
    row = Row("onnx", "1.32", "dense", seconds=seconds, reason=None if seconds else "not installed: pip install x")
    report = PaysReport("net", Machine("a cpu", 2, "Linux", "cpu", "2.13"), 1, 1, (row,))
    result = {**report.to_json(), "model": model, "plan": plan.fingerprint()}
    runs.update(run.id, state=state, result=result)
    return run.id


def test_a_card_tells_the_newest_comparison_of_just_this_model_and_plan(tmp_path):
    runs = RunStore(Workspace(tmp_path / "ws"))
    assert pays_of(runs, "here", PLAN) is None
    finished(runs, PLAN, model="another")
    finished(runs, SparsityPlan((Cut("fc1", "weight", 0.8),)))
    finished(runs, PLAN, state="cancelled")
    finished(runs, PLAN, seconds=None)  # nothing was measured: there is nothing to tell
    assert pays_of(runs, "here", PLAN) is None
    first, second = finished(runs, PLAN), finished(runs, PLAN)
    assert first != second
    found = pays_of(runs, "here", PLAN)
    assert (found["run"], found["date"][:2]) == (second, "20")
    assert found["rows"][0]["seconds"] == 0.002
    assert set(found) == {"workload", "machine", "threads", "batch", "rows", "run", "date"}
    runs.update(second, result={**runs.get(second).result, "rows": [{"engine": 3}]})  # came damaged from elsewhere
    assert pays_of(runs, "here", PLAN)["run"] == first


@pytest.mark.process
def test_an_export_puts_it_into_manifest_and_card_and_another_plan_s_does_not(net_file, tmp_path):
    runs = RunStore(Workspace(tmp_path / "ws"))
    run, _ = runs.submit("export", *plan_submission(str(net_file), PLAN))
    finished(runs, PLAN, model=model_fingerprint(load_workload(str(net_file)).model))
    done = execute(runs, run.id)
    assert done.state == "finished", done.error
    manifest = done.result["manifest"]
    assert manifest["pays"]["rows"][0]["engine"] == "onnx"
    card = (runs.bundle_folder(done) / "card.md").read_text()
    assert "## Where it pays" in card
    assert "| ONNX Runtime 1.32 | dense |" in card
    assert read_manifest(runs.bundle_folder(done))["pays"] == manifest["pays"]
    other, _ = runs.submit("export", *plan_submission(str(net_file), SparsityPlan((Cut("fc1", "weight", 0.5),))))
    done = execute(runs, other.id)
    assert done.state == "finished", done.error
    assert "pays" not in done.result["manifest"]
