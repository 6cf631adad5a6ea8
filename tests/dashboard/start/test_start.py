"""A start that asks: what was wanted presets the screens that follow, and each offers the next step."""

import json
from dataclasses import replace

import pytest

from core import Cut, SparsityPlan
from core.jobs.submissions import plan_submission, sweep_submission
from core.jobs.worker import execute
from core.profiling.report import SpeedRatio
from core.tuning.request import MinimiseRequest
from dashboard.screens.map.before_sweep import NOT_KNOWN, n_cells, time_text
from dashboard.screens.map.sweep_settings import first_settings
from dashboard.start import wishes
from dashboard.start.next_step import slow_text
from tests.dashboard.conftest import tuner_of
from tests.dashboard.test_screens import texts

pytestmark = pytest.mark.model


def button(app, start):
    return next(b for b in app.button if b.label.startswith(start))


def test_a_wish_on_the_first_page_leads_to_a_form_that_takes_out_what_it_needs(fresh, started, open_screen):
    runs, ref = fresh
    app = open_screen("model", ref)
    assert "What do you want?" in [one.value for one in app.subheader]
    button(app, "A smaller file").click().run()
    assert not app.exception
    assert wishes.chosen(ref).name == "smaller"
    app.switch_page("screens/map/screen.py").run()
    assert app.pills(key=f"what-{ref}").value == ["channel"]  # the template's model has no heads
    assert app.radio(key="mode").value == "race"
    button(app, "Measure").click().run()
    assert not app.exception
    request = runs.get(started[0]).request
    assert (request["channels"], request["weights"], request["mode"]) == (True, False, "race")
    assert request["repair"] == "full"


def test_what_is_taken_out_is_made_up_for_where_there_are_calibration_data(coupled):
    found = coupled[0].description(coupled[1])[0]
    assert wishes.repair_of(wishes.WISHES["smaller"], found) == "full"
    assert wishes.repair_of(wishes.WISHES["faster"], found) == "full"
    assert wishes.repair_of(wishes.WISHES["matters"], found) is None
    assert wishes.repair_of(wishes.WISHES["smaller"], replace(found, n_calibration=None)) is None
    whole = [target for target in found.targets if target.granularity == "weight"]
    assert wishes.repair_of(wishes.WISHES["smaller"], replace(found, targets=tuple(whole))) is None


def test_to_know_what_matters_is_the_map_of_weights_and_heads(workspace):
    runs, ref = workspace
    wishes.choose(ref, "matters")
    found = runs.description(ref)[0]
    settings = first_settings(ref, found)
    assert (settings.removes, settings.mode, settings.align) == (("weight", "head"), "exact", 1)


def test_speed_takes_widths_that_engines_like_where_the_narrowest_group_has_room(coupled):
    runs, ref = coupled
    found = runs.description(ref)[0]
    assert [group.n_units for group in found.channel_targets] == [16]
    assert wishes.alignment(wishes.WISHES["faster"], found) == 4
    assert wishes.alignment(wishes.WISHES["smaller"], found) == 1


def test_a_finished_map_offers_the_search_for_what_was_wanted_and_tune_its_answer(coupled, started, open_screen):
    runs, ref = coupled
    wishes.choose(ref, "smaller")
    app = open_screen("map", ref)
    button(app, "Next: find the fewest parameters within 1.00 points").click().run()
    assert not app.exception
    run = runs.get(started[0])
    assert (run.kind, run.request["kind"], run.request["tolerance"]) == ("minimise", "parameters", 0.01)
    app = open_screen("tune", ref)
    assert "Looking for the fewest parameters within 1.00 points" in texts(app)
    runs.update(run.id, state="failed", error="no memory")
    assert "The search for the fewest parameters failed: no memory" in texts(open_screen("tune", ref))


def test_a_search_without_an_answer_offers_a_wider_one_and_one_with_it_the_bundle(coupled, started, open_screen):
    runs, ref = coupled
    wishes.choose(ref, "smaller")
    run, _ = runs.submit("minimise", *sweep_submission(MinimiseRequest(ref, 0.05, "parameters")))
    assert execute(runs, run.id).state == "finished"
    found = dict(runs.get(run.id).result)
    measured = [one["plan"] for one in found["tries"]]
    drops = [{"value": value, "low": value - 0.1, "high": value + 0.1, "n": 50} for value in (0.3, 0.2)]
    judged = [{"plan": p, "drop": drop, "holds": False} for p, drop in zip(measured, drops, strict=False)]
    assert len(judged) == 2
    runs.update(run.id, result={**found, "best": None, "judged": judged})
    app = open_screen("tune", ref)
    said = texts(app).replace("\N{NO-BREAK SPACE}", " ")
    assert f"Plan {measured[1][:8]}, more than was accepted: +20.00 points" in said
    button(app, "Next: write the bundle of the closest").click().run()
    assert not app.exception
    export = runs.get(started.pop())
    assert (export.kind, runs.draft(ref).fingerprint()[:8]) == ("export", measured[1])
    runs.update(export.id, state="cancelled")
    runs.update(run.id, result={**found, "best": None, "judged": []})
    app = open_screen("tune", ref)
    button(app, "Look again within 10.00 points").click().run()
    assert runs.get(started[0]).request["tolerance"] == pytest.approx(0.1)
    runs.update(started[0], state="cancelled")
    plan = SparsityPlan((Cut("layer.linear1", "channel", 0.25, "magnitude"),), ref)
    best = {"plan": "abc", "left": 0.9, "drop": None, "document": plan.to_document()}
    runs.update(started[0], state="finished", result={**found, "best": best, "judged": []})
    app = open_screen("tune", ref)
    button(app, "Next: write its bundle").click().run()
    assert not app.exception
    export = runs.get(started[1])
    assert (export.kind, export.request["form"]) == ("export", "shrunk")
    assert runs.draft(ref) == plan


def test_a_bundle_that_no_engine_was_shown_to_run_faster_says_how_to_go_on():
    same = SpeedRatio("shrunk", "eager", 1, 1, 1.1, 0.9, 1.3, 30)
    faster = replace(same, engine="onnx", low=1.2)
    assert "could not be shown" in slow_text([same, replace(same, engine="onnx")])
    assert slow_text([same, faster]) == ""
    assert slow_text([]) == ""


def test_without_anything_to_take_out_no_model_gets_faster_and_the_reason_stands_there(coupled):
    runs, ref = coupled
    found = runs.description(ref)[0]
    document = found.to_json()
    document["targets"] = [one for one in document["targets"] if one["granularity"] == "weight"]
    bare = type(found).from_json(json.loads(json.dumps(document)))
    assert "no model faster" in wishes.why_not(wishes.WISHES["faster"], bare)
    assert wishes.why_not(wishes.WISHES["smaller"], bare) is None
    assert wishes.cost_of(wishes.WISHES["smaller"], bare) == "bytes"
    assert wishes.removed(wishes.WISHES["smaller"], bare) == ["weight"]


def test_a_new_sweep_begins_with_the_settings_of_the_last_one(coupled, open_screen):
    _, ref = coupled
    app = open_screen("map", ref)
    assert app.pills(key=f"what-{ref}").value == ["weight", "channel", "head"]
    assert app.segmented_control(key="align").value == 2
    assert app.multiselect(key="sparsities").value == [0.25, 0.5, 0.9]


def test_what_a_sweep_takes_is_counted_and_its_time_estimated_by_an_earlier_one_or_said_not_to_be_known(coupled):
    from core.sensitivity.request import SweepRequest

    runs, ref = coupled
    found, (last, _) = runs.description(ref)[0], runs.list("sweep", ref)
    again = SweepRequest.from_json(dict(last.request))
    assert n_cells(again, found) == len(runs.report(last).cells)
    asked = SweepRequest(ref, samples=100)
    assert time_text([], asked, 10) == NOT_KNOWN
    cost = {"n_cells": 10, "n_examples": 100, "n_known": 0, "n_total": 10, "seconds": 60.0}
    runs.update(last.id, result={**last.result, "cost": cost})
    assert f"An estimate, by the pace of sweep {last.id}: 2 min" in time_text([runs.get(last.id)], asked, 20)


def test_the_goal_and_the_searches_of_tune_open_with_what_was_wanted_and_deliver_with_its_format(coupled, open_screen):
    runs, ref = coupled
    app = open_screen("tune", ref)
    assert tuner_of(app)["kinds"][0]["kind"] == "nonzeros"
    wishes.choose(ref, "faster")
    app = open_screen("tune", ref)
    assert tuner_of(app)["kinds"][0]["kind"] == "flops"
    assert app.selectbox(key=f"search-cost-{ref}").value == "flops"
    assert app.selectbox(key=f"refine-cost-{ref}").value == "flops"
    runs.save_draft(ref, SparsityPlan((Cut("fc", "weight", 0.5),), ref))
    assert not open_screen("deliver", ref).checkbox(key="format-masked-compressed").value
    wishes.choose(ref, "smaller")
    assert open_screen("deliver", ref).checkbox(key="format-masked-compressed").value


@pytest.mark.process  # an export writes engines' files in processes of their own
def test_deliver_tells_what_was_saved_as_measured_and_offers_the_download(coupled, open_screen):
    runs, ref = coupled
    plan = SparsityPlan((Cut("layer.linear1", "channel", 0.5, "magnitude"),), ref)
    runs.save_draft(ref, plan)
    run, _ = runs.submit("export", *plan_submission(ref, plan, form="shrunk", formats=()))
    assert execute(runs, run.id).state == "finished"
    assert "Your bundle is written" not in texts(open_screen("deliver", ref))  # nobody wanted anything
    wishes.choose(ref, "smaller")
    said = texts(open_screen("deliver", ref))
    assert "Your bundle is written, reloaded and compared." in said
    left = runs.get(run.id).result["manifest"]["shrunk"]
    assert f"{100 * left['parameters'] / left['dense_parameters']:.0f} % of the parameters stay" in said
    assert "eager: " in said
    runs.save_draft(ref, SparsityPlan((), ref))  # it is of another plan
    assert "Your bundle is written" not in texts(open_screen("deliver", ref))
