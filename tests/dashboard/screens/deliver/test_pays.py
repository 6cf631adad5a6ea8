"""Where a plan pays, on the Deliver screen: engines that are not there, the newest rows, what went wrong."""

import dataclasses
import re

import pytest

from core import Cut, SparsityPlan
from core.jobs.submissions import pays_submission
from core.profiling.pays.report import VARIANTS, PaysReport, Row
from core.profiling.pays.request import ENGINE_NAMES, PaysRequest
from core.profiling.report import Machine
from core.sensitivity.report import Estimate
from dashboard.screens.deliver import pays_panel
from dashboard.screens.deliver.pays_panel import absent_lines, by_engine, lines_of, shown_run, table_html
from tests.dashboard.screens.deliver.test_deliver import PLAN
from tests.dashboard.test_screens import texts

MACHINE = Machine("a cpu", 2, "Linux x86_64", "cpu", "2.13.0")
DENSE = Row("onnx", "1.32", "dense", None, "", 4000, 3600, 0.002, None, 1e-6, zeros="runs zeros as numbers")
MASKED = dataclasses.replace(DENSE, variant="masked", compressed=500, ratio=Estimate(1.0, 0.98, 1.02, 20))
SHRUNK = dataclasses.replace(DENSE, variant="shrunk", bytes=2000, seconds=0.001, ratio=Estimate(2.0, 1.9, 2.1, 20))
INT8 = [Row("onnx", "1.32", name, "<b>no</b> int8") for name in VARIANTS[3:]]
GONE = [Row("ncnn", None, name, "not installed: pip install 'secateur[ncnn]'") for name in VARIANTS]
REPORT = PaysReport("net", MACHINE, 1, 8, (DENSE, MASKED, SHRUNK, *INT8, *GONE))


def compared(runs, ref, plan=PLAN, model=None, rows=REPORT.rows, state="finished", **more):
    run, _ = runs.submit("pays", *pays_submission(ref, plan, PaysRequest(rounds=20 + len(runs.list("pays")))))
    report = dataclasses.replace(REPORT, workload=ref, rows=rows)
    model = model or runs.description(ref)[0].fingerprint
    result = {**report.to_json(), "model": model, "plan": plan.fingerprint()}
    runs.update(run.id, state=state, result=result, **more)
    return runs.get(run.id)


def shown(app):
    return "".join(block.proto.body for block in app.get("html") if 'class="pays"' in block.proto.body)


def test_rows_stand_under_their_engine_and_one_reason_is_told_once():
    onnx, ncnn = by_engine(REPORT.rows)
    assert lines_of(onnx) == [
        ("dense", "4 kB", "3.6 kB", "2.00", "", "", "1e-06", "what the others of this engine are compared with"),
        ("masked", "4 kB", "500 B", "2.00", "1.00 ×", "[0.98, 1.02]", "1e-06",
         "no faster here: this engine runs zeros as numbers"),
        ("shrunk", "2 kB", "3.6 kB", "1.00", "2.00 ×", "[1.90, 2.10]", "1e-06", "2.00 × faster here"),
        ("int8, masked + int8, shrunk + int8", *[""] * 6, "<b>no</b> int8"),
    ]  # fmt: skip
    assert lines_of(ncnn) == [("all", *[""] * 6, "not installed: pip install 'secateur[ncnn]'")]


def test_rows_with_numbers_are_never_told_together():
    late = "this engine's dense model was not timed, so there is nothing to compare with"
    alike = [dataclasses.replace(DENSE, variant=name, reason=late, bytes=n) for name, n in (("int8", 1), ("masked", 2))]
    assert [line[:2] for line in lines_of(alike)] == [("int8", "1 B"), ("masked", "2 B")]


def test_the_table_escapes_every_word():
    text = table_html(REPORT)
    assert "&lt;b&gt;no&lt;/b&gt; int8" in text
    assert "<b>" not in text
    assert re.findall(r"<tr><th colspan=\"8\">([^<]*)", text) == ["ONNX Runtime 1.32 ", "ncnn"]
    assert text.count("runs zeros as numbers") == 2  # beside the engine, and in the verdict of what is masked


def test_what_is_not_installed_says_how_to_get_it():
    first, last = absent_lines({"ncnn": "pip install 'secateur[ncnn]'"})
    assert first == "ncnn is not installed here: `pip install 'secateur[ncnn]'`"
    assert "--python NAME=PATH" in last


def test_a_comparison_is_started_with_the_engines_that_are_chosen(coupled, started, open_screen, monkeypatch):
    runs, ref = coupled
    runs.save_draft(ref, PLAN)
    monkeypatch.setattr(
        pays_panel, "missing", lambda name: None if name in ("eager", "onnx") else f"pip install {name}"
    )
    app = open_screen("deliver", ref)
    assert "Not compared for this plan." in texts(app)
    assert "ncnn is not installed here: `pip install ncnn`" in texts(app)
    engines = app.multiselect(key=f"pays-engines-{ref}")
    assert engines.value == ["eager", "onnx"]
    assert len(engines.options) == len(ENGINE_NAMES)
    app.number_input(key="pays-batch").set_value(8)
    engines.unselect("eager").run()
    app.button(key="compare-engines").click().run()
    assert not app.exception
    run = runs.get(started[0])
    assert (run.kind, SparsityPlan.from_document(dict(run.request["plan"]))) == ("pays", PLAN)
    asked = PaysRequest.from_json(dict(run.request["pays"]))
    assert (asked.engines, asked.batch, asked.threads) == (("onnx",), 8, 1)
    app = open_screen("deliver", ref)
    assert app.button(key="compare-engines").disabled  # it is under way
    assert "Starting" in texts(app)


def test_the_rows_of_this_plan_are_shown_and_those_of_an_older_model_say_so(coupled, open_screen):
    runs, ref = coupled
    runs.save_draft(ref, PLAN)
    compared(runs, ref, SparsityPlan((Cut("fc", "weight", 0.9),)))
    app = open_screen("deliver", ref)
    assert not shown(app)  # the other plan can be chosen below
    assert "fc" not in texts(app).partition("Where it pays")[2].partition("1 cut, compared")[0]
    compared(runs, ref, model="another", rows=(DENSE,))
    app = open_screen("deliver", ref)
    assert "Measured on an earlier version of the model." in texts(app)
    assert "no faster here" not in shown(app)
    compared(runs, ref)
    compared(runs, ref, model="another", rows=(DENSE,))
    app = open_screen("deliver", ref)
    assert "an earlier version" not in texts(app)
    assert "2.00 × faster here" in shown(app)
    assert "a cpu, 2 cores" in texts(app)
    assert "batch 8" in texts(app)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("failed", "The newest comparison failed: the disk is full"),
        ("cancelled", "The newest comparison was stopped; `secateur resume"),
        ("interrupted", "The newest comparison was interrupted: its worker died; `secateur resume"),
    ],
)
def test_one_that_did_not_end_says_why_and_keeps_its_rows(coupled, open_screen, state, said):
    runs, ref = coupled
    runs.save_draft(ref, PLAN)
    compared(runs, ref, state=state, error="the disk is full", started=1.0)
    app = open_screen("deliver", ref)
    assert said in texts(app)
    assert "2.00 × faster here" in shown(app)


def test_one_at_work_shows_what_it_has_so_far(coupled, open_screen):
    runs, ref = coupled
    runs.save_draft(ref, PLAN)
    compared(runs, ref, state="running", phase="ncnn: timing 3 models in turn", rows=REPORT.rows[:6])
    app = open_screen("deliver", ref)
    assert "Ncnn: timing 3 models in turn" in texts(app)
    assert "2.00 × faster here" in shown(app)


def test_without_a_plan_of_its_own_the_screen_shows_what_a_terminal_has_compared(coupled, open_screen):
    runs, ref = coupled
    run = compared(runs, ref)
    app = open_screen("deliver", ref)
    assert "2.00 × faster here" in shown(app)
    runs.save_draft(ref, SparsityPlan((Cut("fc", "weight", 0.5),)))
    app = open_screen("deliver", ref)
    assert not shown(app)
    other = next(box for box in app.selectbox if box.label == "Plan to compare")
    assert run.id in other.options[1]
    other.select_index(1).run()
    assert "2.00 × faster here" in shown(app)


def test_of_several_runs_the_newest_with_rows_is_shown(coupled):
    runs, ref = coupled
    found = runs.description(ref)[0]
    first, second = compared(runs, ref), compared(runs, ref, rows=())
    assert shown_run([second, first], found).id == first.id
    assert shown_run([second], found) is None
