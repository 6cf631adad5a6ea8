"""Deliver: masked or shrunk, and what it saves, in the words that the intervals allow."""

import dataclasses

import pytest

from core import Cut, SparsityPlan
from core.jobs.submissions import plan_submission, profile_submission
from core.jobs.worker import execute
from core.profiling.report import LayerCost, Machine, ProfileReport, Size, SpeedRatio, Timing
from core.sensitivity.report import Estimate
from core.workload.target import Target
from dashboard.screens.deliver.speed_panel import sizes_frame, times_frame
from tests.dashboard.conftest import HALF, measured
from tests.dashboard.screens.map.test_channels import GROUP
from tests.dashboard.test_screens import figure, texts

PLAN = SparsityPlan((Cut(GROUP, "channel", 0.5),))
MACHINE = Machine("a cpu", 2, "Linux x86_64", "cpu", "2.13.0")
REPORT = ProfileReport(
    "net",
    MACHINE,
    (
        Size("dense", 8000, 8000, 16e6, 2_000_000, 1_900_000, None, 64),
        Size("shrunk", 4000, 4000, 8e6, 1_000_000, 900_000, 64, 64),
    ),
    (
        Timing("dense", "eager", 64, 2, 30, 5, 0.002, 0.001, 0.003),
        Timing("masked", "eager", 64, 2, 30, 5, 0.002, 0.001, 0.003),
        Timing("shrunk", "eager", 64, 2, 30, 5, 0.001, 0.001, 0.002),
    ),
    (
        SpeedRatio("masked", "eager", 64, 2, 1.3, 0.95, 1.7, 30),
        SpeedRatio("shrunk", "eager", 64, 2, 1.9, 1.5, 2.5, 30),
    ),
    (LayerCost("fc", 8000, 16e6, 0.002, 1.0, 64, 2), LayerCost("fc", 8000, 16e6, 0.0001, 1.0, 1, 2)),
)


def test_the_table_says_faster_only_where_the_whole_interval_lies_above_1():
    table = times_frame(REPORT)
    assert table["verdict"].tolist() == ["", "no faster here", "faster"]
    assert table["times as fast"].tolist() == ["", "1.30 ×", "1.90 ×"]
    assert table["95 % interval"].tolist() == ["", "[0.95, 1.70], n = 30", "[1.50, 2.50], n = 30"]


def test_sizes_stand_beside_each_other_and_what_was_not_measured_is_not_0():
    table = sizes_frame(REPORT)
    assert table.columns.tolist() == ["dense", "shrunk"]
    assert table.loc["parameters"].tolist() == ["8,000", "4,000"]
    assert table.loc["peak memory, batch of 64"].tolist() == ["–", "64 B"]


def forms(app):
    return next(group for group in app.segmented_control if str(group.key).startswith("form-"))


@pytest.mark.parametrize(
    ("cut", "allowed"),
    [
        (Cut("fc", "weight", 0.5), ["masked"]),
        (Cut("fc", "2:4"), ["masked"]),
        (Cut(GROUP, "channel", 0.5), ["masked", "shrunk"]),
        (Cut("layer.self_attn:0", "head"), ["masked", "shrunk"]),
    ],
)
def test_only_forms_that_the_plan_allows_are_offered(coupled, open_screen, cut, allowed):
    runs, ref = coupled
    runs.save_draft(ref, SparsityPlan((cut,), ref))
    app = open_screen("deliver", ref)
    assert forms(app).options == allowed
    assert forms(app).value == allowed[-1]


def test_export_asks_for_the_chosen_form(coupled, started, open_screen):
    runs, ref = coupled
    runs.save_draft(ref, PLAN)
    for form in ("shrunk", "masked"):
        app = open_screen("deliver", ref)
        forms(app).set_value(form).run()
        next(b for b in app.button if b.label == "Export").click().run()
        assert runs.get(started[-1]).request["form"] == form


@pytest.mark.process
def test_a_shrunk_bundle_says_how_far_it_is_from_the_masked_model_and_that_it_was_reloaded(coupled, open_screen):
    runs, ref = coupled
    run, _ = runs.submit("export", *plan_submission(ref, PLAN, form="shrunk"))
    assert execute(runs, run.id).state == "finished"
    said = texts(open_screen("deliver", ref))
    shrunk = runs.get(run.id).result["manifest"]["shrunk"]
    assert f"shrunk {shrunk['parameters']:,} of {shrunk['dense_parameters']:,} parameters stay" in said
    assert f"outputs at most {shrunk['difference']['largest']:.1g} apart (relative)" in said
    assert "of 120 examples score otherwise" in said
    assert "reloaded in a fresh process" in said


def profiled(runs, ref, plan):
    run, _ = runs.submit("profile", *profile_submission(ref, plan))
    model = runs.description(ref)[0].fingerprint
    runs.update(
        run.id, state="finished", result={**dataclasses.replace(REPORT, workload=ref).to_json(), "model": model}
    )


def test_speed_of_this_plan_is_measured_with_one_click_and_shown_with_its_verdicts(coupled, started, open_screen):
    runs, ref = coupled
    runs.save_draft(ref, PLAN)
    app = open_screen("deliver", ref)
    assert "Not measured for this plan" in texts(app)
    app.button(key="measure-speed").click().run()
    assert not app.exception
    run = runs.get(started[0])
    assert run.kind == "profile"
    assert SparsityPlan.from_document(run.request["plan"]) == PLAN
    runs.ask_to_stop(run.id)
    profiled(runs, ref, PLAN)
    app = open_screen("deliver", ref)
    times = next(table.value for table in app.dataframe if "verdict" in table.value.columns)
    assert times["verdict"].tolist() == ["", "no faster here", "faster"]
    assert "a cpu, 2 cores" in texts(app)


def test_times_of_another_plan_are_not_shown(coupled, open_screen):
    runs, ref = coupled
    runs.save_draft(ref, PLAN)
    profiled(runs, ref, SparsityPlan((Cut("fc", "weight", 0.9),)))
    assert "Not measured for this plan" in texts(open_screen("deliver", ref))


def test_where_the_time_goes_is_measured_and_drawn_on_the_model_screen(coupled, started, open_screen):
    runs, ref = coupled
    app = open_screen("model", ref)
    assert "Not measured yet. The layers with the most weights" in texts(app)
    app.button(key="profile").click().run()
    assert runs.get(started[0]).kind == "profile"
    assert open_screen("model", ref).button(key="profile").disabled  # it is under way
    runs.ask_to_stop(started[0])
    profiled(runs, ref, None)
    app = open_screen("model", ref)
    assert [bar["name"] for bar in figure(app, "time of each layer")["data"]] == ["parameters", "FLOPs", "milliseconds"]
    assert "Batch of 64, 2 threads, medians of 30 rounds." in texts(app)


def test_a_failed_profile_says_why(coupled, open_screen):
    runs, ref = coupled
    run, _ = runs.submit("profile", *profile_submission(ref))
    runs.update(run.id, state="failed", error="the machine has no such device")
    assert "the machine has no such device" in texts(open_screen("model", ref))


def test_a_plan_that_skips_a_block_says_so_and_has_no_masked_form(coupled, open_screen):
    runs, ref = coupled
    found, _ = runs.description(ref)
    block = Target("layer", "block", "TransformerEncoderLayer", "skip layer", (), 512)
    runs.remember(dataclasses.replace(found, targets=(*found.targets, block)))
    plan = SparsityPlan((Cut("layer", "block"),), ref)
    runs.save_draft(ref, plan)
    run, _ = runs.submit("measure", *plan_submission(ref, plan))
    drop = dataclasses.asdict(Estimate(0.1, 0.05, 0.15, 120))
    metric = dataclasses.asdict(Estimate(0.9, 0.85, 0.95, 120))
    result = {
        "metric": dataclasses.asdict(found.scale), "n_removed": 0, "n_weights": 552, "drop": drop,
        "state": "measured", "reason": None, "dense": metric, "pruned": metric,
    }  # fmt: skip
    runs.update(run.id, state="finished", result={**result, "model": found.fingerprint})
    app = open_screen("deliver", ref)
    assert "0 % removed and 1 block skipped, measured drop +10.00 points" in app.selectbox(key=f"plan-{ref}").value
    assert forms(app).options == ["shrunk"]
    assert "A skipped block has no masked form." in texts(app)


@pytest.mark.model
def test_what_is_exported_stands_in_the_address_and_a_link_chooses_it(workspace, open_screen):
    runs, ref = workspace
    measured(runs, ref, HALF)
    runs.save_draft(ref, SparsityPlan((Cut("fc", "weight", 0.9),)))
    app = open_screen("deliver", ref)
    assert "plan" not in app.query_params  # the usual
    app.query_params["plan"] = HALF.fingerprint()[:8]
    app.run()
    assert not app.exception
    box = app.selectbox(key=f"plan-{ref}")
    assert box.value == box.options[1]
    assert app.query_params["plan"] == HALF.fingerprint()[:8]
    app.query_params["plan"] = "beef.2"
    app.run()
    assert "The address asks for plan “beef.2”" in " ".join(one.value for one in app.warning)
