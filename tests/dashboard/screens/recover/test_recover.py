"""The Recover screen, driven as a person would: refused, asked, under way, stopped, finished."""

import dataclasses

import pytest

from core import Cut, SparsityPlan
from core.plans.schedules import SCHEDULES, usual_rounds
from core.recovery.history import Round
from core.recovery.recovery_words import GIVEN, SCHEDULE_WORDS, SPREAD_WORDS
from core.recovery.request import SPREADS, RecoverRequest
from core.sensitivity.report import Estimate
from core.workload.metric import accuracy
from dashboard.screens.recover.cutting_fields import plan_share
from dashboard.screens.recover.recover_panel import rounds_frame
from tests.dashboard.conftest import read_table
from tests.dashboard.screens.tune.test_plans import button, texts
from tests.dashboard.test_screens import figure

SCALE = accuracy().scale


def estimate(value):
    return Estimate(value, value - 0.01, value + 0.01, 1000)


ROWS = (
    Round(1, 0.5, estimate(0.7), estimate(0.89), estimate(0.01), 2, 1.0),
    Round(2, 0.75, None, estimate(0.8), estimate(0.1), 2, 65.0),
)


def under_way(runs, ref, run_id, **columns):
    """What the worker has told of a run after two rounds of five."""
    result = {
        "model": runs.description(ref)[0].fingerprint,
        "metric": dataclasses.asdict(SCALE),
        "schedule": [0.44, 0.7, 0.84, 0.89, 0.9],
        "dense": dataclasses.asdict(estimate(0.9)),
        "history": [row.to_json() for row in ROWS],
        "best": 1,
        "losses": [(1, 1, 2.0), (1, 2, 1.5), (2, 1, 1.4)],
        "checkpoint": "recoveries/abc/round-002.safetensors",
    }
    runs.update(run_id, **{"done": 4, "total": 10, "started": 1.0, "result": result, **columns})


def test_a_model_without_training_data_is_refused_with_what_to_add(workspace, open_screen):
    app = open_screen("recover", workspace[1])
    assert "attentive has no training data to recover with; give the workload training=Examples" in texts(app)
    assert "Start" not in [b.label for b in app.button]


def test_every_schedule_and_spread_has_words():
    assert set(SCHEDULE_WORDS) == {*SCHEDULES, GIVEN}
    assert set(SPREAD_WORDS) == set(SPREADS)


def test_the_schedule_is_drawn_before_anything_starts_and_follows_the_form(trained, started, open_screen):
    _, ref = trained
    app = open_screen("recover", ref)
    assert figure(app, "Planned sparsity")["data"][0]["y"][-1] == 90.0
    app.selectbox(key=f"recover-schedule-{ref}").set_value("linear").run()
    app.number_input(key=f"recover-final-{ref}").set_value(50.0).run()
    assert figure(app, "Planned sparsity")["data"][0]["y"] == pytest.approx([0, 10, 20, 30, 40, 50])
    assert "Planned, not measured. 5 rounds, 80 optimiser steps in all on 2,000 training examples" in texts(app)
    assert started == []


def test_rounds_that_nobody_chose_follow_from_the_schedule():
    assert {name: usual_rounds(name, 0.0, 0.9) for name in SCHEDULES} == {
        "one_shot": 1, "linear": 5, "cubic": 5, "geometric": 11,  # 0.8**10 is 0.107, 0.8**11 is 0.086
    }  # fmt: skip


def test_one_shot_has_one_round(trained, open_screen):
    _, ref = trained
    app = open_screen("recover", ref)
    app.selectbox(key=f"recover-schedule-{ref}").set_value("one_shot").run()
    assert figure(app, "Planned sparsity")["data"][0]["y"] == [0.0, 90.0]
    assert "1 round, " in texts(app)


def test_the_form_makes_the_request(trained, started, open_screen):
    runs, ref = trained
    app = open_screen("recover", ref)
    for name, value in (("final", 80.0), ("epochs", 0.5), ("rate", 0.01), ("distillation", 0.25)):
        app.number_input(key=f"recover-{name}-{ref}").set_value(value)
    app.selectbox(key=f"recover-spread-{ref}").set_value("lamp")
    next(n for n in app.number_input if n.label == "Tolerance, points").set_value(3.0)
    app.run()
    button(app, "Start").click().run()
    (run,) = runs.list("recover", ref)
    asked = RecoverRequest.from_json(dict(run.request))
    assert (asked.schedule.name, asked.schedule.final_sparsity, asked.schedule.num_iterations) == ("cubic", 0.8, 5)
    assert (asked.fine_tuning.epochs, asked.fine_tuning.rate, asked.fine_tuning.distillation) == (0.5, 0.01, 0.25)
    assert (asked.plan, asked.spread) == (None, "lamp")
    assert asked.tolerance == pytest.approx(0.03)
    assert started == [run.id]


def test_the_plan_being_made_is_what_is_cut_if_there_is_one(trained, started, open_screen):
    runs, ref = trained
    found = runs.description(ref)[0]
    target = found.weight_targets[0]
    plan = SparsityPlan((Cut(target.name, "weight", 0.5),), ref)
    runs.save_draft(ref, plan)
    n = sum(one.n_weights for one in found.weight_targets)
    assert plan_share(plan, found) == pytest.approx(target.n_weights / 2 / n, abs=1 / n)
    app = open_screen("recover", ref)
    button(app, "Start").click().run()
    request = runs.list("recover", ref)[0].request
    assert SparsityPlan.from_document(request["plan"]).cuts == plan.cuts
    assert request["schedule"]["final_sparsity"] == pytest.approx(plan_share(plan, found))


def test_a_recovery_under_way_shows_its_curves_and_can_be_stopped(trained, started, open_screen):
    runs, ref = trained
    button(open_screen("recover", ref), "Start").click().run()
    under_way(runs, ref, started[0], state="running", phase="round 3 of 5, loss 1.2")
    app = open_screen("recover", ref)
    assert "Start" not in [b.label for b in app.button]
    assert any("round 3 of 5, loss 1.2" in bar.proto.text for bar in app.get("progress"))
    assert [len(trace["x"]) for trace in figure(app, "Training loss")["data"]] == [2, 1]
    assert figure(app, "before and after training")["data"][2]["y"] == [89.0, 80.0]
    assert next(m.value for m in app.metric if m.label == "Sparsity reached") == "75 %"
    assert "round 2 of 5, planned to end at 90 %" in texts(app)
    button(app, "Stop").click().run()
    assert runs.get(started[0]).stopping


def test_a_stopped_recovery_keeps_its_rounds_and_goes_on(trained, started, open_screen):
    runs, ref = trained
    button(open_screen("recover", ref), "Start").click().run()
    under_way(runs, ref, started[0], state="cancelled")
    app = open_screen("recover", ref)
    assert "was stopped after 40 % of its work" in texts(app)
    assert "Best round within" in texts(app)
    assert "recoveries/abc/round-002.safetensors" in texts(app)
    button(app, "Resume").click().run()
    assert started == [started[0]] * 2


def test_a_recovery_that_failed_says_why_and_which_round_is_kept(trained, started, open_screen):
    runs, ref = trained
    button(open_screen("recover", ref), "Start").click().run()
    under_way(runs, ref, started[0], state="failed", error="the loss became NaN in round 3; round 2 is kept")
    assert "the loss became NaN in round 3; round 2 is kept" in texts(open_screen("recover", ref))


def test_rounds_have_intervals_and_n_a_dash_for_what_is_not_measured_and_the_best_one_its_mark():
    frame = rounds_frame(SCALE, ROWS, 1)
    assert list(frame["accuracy after the cut"]) == ["70.00 % [69.00, 71.00], n = 1,000", "–"]
    assert frame["drop, points"][0] == "+1.00 points [0.00, +2.00], n = 1,000"
    assert list(frame["tolerance"]) == ["best within", ""]
    assert list(frame["took"]) == ["1 s", "1 min 05 s"]


def test_from_the_form_to_the_table_of_rounds(trained, worker_here, open_screen):
    runs, ref = trained
    app = open_screen("recover", ref)
    app.number_input(key=f"recover-epochs-{ref}").set_value(0.25)
    next(n for n in app.number_input if n.label == "Rounds").set_value(2)
    app.run()
    button(app, "Start").click().run()
    assert not app.exception, app.exception
    (run,) = runs.list("recover", ref)
    assert run.state == "finished", run.error
    frame = read_table(app, "round")
    assert list(frame["round"]) == [1, 2]
    assert list(frame["steps"]) == [4, 4]  # a quarter of the 16 batches of 128 that 2,000 examples make
    assert frame["removed"][1] == "90 %"
    assert (runs.workspace.folder / run.result["checkpoint"]).is_file()
    assert run.result["checkpoint"] in texts(app)
