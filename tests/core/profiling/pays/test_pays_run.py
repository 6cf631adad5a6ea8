"""A comparison of engines as a run: kept engine by engine, and gone on with."""

import json

import pytest

from core.jobs.runs import RunStore
from core.jobs.submissions import pays_submission
from core.jobs.worker import execute
from core.plans.plan import Cut, SparsityPlan
from core.profiling.pays import measure
from core.profiling.pays.report import VARIANTS
from core.profiling.pays.request import PaysRequest
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur

PLAN = SparsityPlan((Cut("fc1", "weight", 0.9),))
QUICK = {"rounds": 6, "seconds": 0.01}


def test_a_run_that_goes_on_measures_only_the_engines_that_it_has_not(net_file, tmp_path, monkeypatch):
    runs = RunStore(Workspace(tmp_path / "ws"))
    run, _ = runs.submit("pays", *pays_submission(str(net_file), PLAN, PaysRequest(("eager", "sparse"), **QUICK)))
    asked = []
    ready = measure._Engine.rows

    def stop_before_sparse(self):
        asked.append(self.name)
        if self.name == "sparse" and len(asked) == 2:
            raise RuntimeError("the power is gone")
        return ready(self)

    monkeypatch.setattr(measure._Engine, "rows", stop_before_sparse)
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
