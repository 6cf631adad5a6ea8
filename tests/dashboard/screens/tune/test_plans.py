"""Kept plans on the Tune screen: the table, what became of a plan, and what is done with one or two of them."""

import dataclasses

import pytest

from core import Cut, Estimate, SparsityPlan
from core.jobs.known.kept_plan import KeptPlan, KeptPrediction, MeasuredPlan, PlanResult
from core.jobs.known.plan_book import PlanBook
from core.jobs.submissions import plan_submission
from core.plans.diff import compared
from core.plans.prediction import Prediction
from core.workload.description import Description
from core.workload.metric import accuracy
from core.workload.target import Target
from dashboard.screens.tune.plan_diff_panel import diff_frame
from dashboard.screens.tune.plan_table import by_plan, key_of, plan_frame
from tests.dashboard.conftest import HALF, measured, plans_table

SCALE = accuracy().scale
A = Target("a", "weight", "Linear", "a.weight", (10, 10), 100)
B = Target("b", "weight", "Linear", "b.weight", (20, 10), 200)
FOUND = Description("m.py", "m", "f" * 64, SCALE, 100, None, None, 100, 300, (A, B), ())
FORESEEN = KeptPrediction(Prediction(1.0, 0.89, 0.88, 0.9, 0.01, 0.0, 0.02, ("beyond",)), "f", 0.0)
KEPT = KeptPlan("m", SparsityPlan((Cut("a", "weight", 0.5),)), "solver", None, 0.0, prediction=FORESEEN)
OTHER = KeptPlan("m", SparsityPlan((Cut("b", "weight", 0.3),)), "hand", KEPT.id, 1.0, "small", "ask Ines")
FC = SparsityPlan((Cut("fc", "weight", 0.9),))


def result(kept, drop, form="masked"):
    found = Estimate(drop, drop - 0.005, drop + 0.005, 2000)
    dense = Estimate(0.9, 0.8, 1.0, 2000)
    return MeasuredPlan(kept, PlanResult("r", "f", form, 0.0, SCALE, "measured", None, dense, found, found, 60, 300))


def texts(app):
    return " ".join(
        element.value for kind in ("markdown", "caption", "info", "warning", "error") for element in app.get(kind)
    )


def button(app, label):
    return next(b for b in app.button if b.label == label)


def tick(app, book, ref, *which):
    """Tick the rows of these plans, as a hand would."""
    ids = list(plans_table(app)["plan"])
    key = key_of(ref, book.all(ref))
    rows = [ids.index(plan.fingerprint()[:8]) for plan in which]
    app.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    app.run()
    assert not app.exception, app.exception
    return app


@pytest.fixture
def kept(workspace):
    """A workspace with a measured plan and one that was only kept: its runs, its book, the reference of the model."""
    runs, ref = workspace
    book = PlanBook(runs.workspace)
    book.keep(ref, FC, "solver")
    measured(runs, ref, HALF)
    return runs, book, ref


def test_predicted_and_measured_stand_in_columns_of_their_own():
    row = plan_frame([KEPT], by_plan([result(KEPT, 0.0125), result(KEPT, 0.03, "shrunk")]), FOUND).iloc[0]
    assert row["predicted"] == "+1.00 [0.00, +2.00]?"
    assert row["masked"] == "+1.25 [+0.75, +1.75], n = 2,000"
    assert row["shrunk"] == "+3.00 [+2.50, +3.50], n = 2,000"
    assert (row["gap"], row["inside"], row["maker"], row["removed"]) == ("+0.25", "inside", "solver", 20.0)


def test_what_was_not_measured_has_no_number_and_what_is_at_work_says_so():
    frame, of = plan_frame([KEPT, OTHER], {}, FOUND, {(OTHER.fingerprint, "masked"): "at it"}), "masked"
    row, other = frame.iloc
    assert (row[of], other[of], other["predicted"]) == ("not measured", "at it", "")
    assert {"gap", "inside"}.isdisjoint(frame)  # there is nothing to fill them with
    assert (row["removed"], other["removed"]) == (pytest.approx(100 * 50 / 300), pytest.approx(100 * 60 / 300))


def test_columns_in_which_no_plan_has_anything_are_left_out():
    assert {"name", "parent", "note", "shrunk"}.isdisjoint(plan_frame([KEPT], {}, FOUND).columns)
    frame = plan_frame([KEPT, OTHER], {}, FOUND)
    assert list(frame["parent"]) == ["", KEPT.id]
    assert list(frame["name"]) == ["", "small"]
    assert list(frame["note"]) == ["", "ask Ines"]


def test_another_plan_on_top_is_another_table_for_ticks_are_positions():
    assert key_of("m", [KEPT]) != key_of("m", [OTHER, KEPT])
    assert key_of("m", [KEPT]) == key_of("m", [dataclasses.replace(KEPT, name="new")])


def test_the_difference_of_two_plans_has_a_row_per_target():
    frame = diff_frame(compared(KEPT.plan, OTHER.plan, FOUND), ("one", "two"))
    assert frame.to_dict("list") == {"target": ["a", "b"], "one": ["50 %", "stays"], "two": ["stays", "30 %"]}


def test_all_kept_plans_are_listed_measured_or_not(kept, open_screen):
    _, _, ref = kept
    frame = plans_table(open_screen("tune", ref)).set_index("plan")
    assert "n = 120" in frame.loc[HALF.fingerprint()[:8], "masked"]
    assert frame.loc[FC.fingerprint()[:8], "masked"] == "not measured"
    assert frame.loc[FC.fingerprint()[:8], "maker"] == "solver"


def test_all_plans_and_the_one_on_screen_can_be_taken_along_as_tables(kept, open_screen):
    app = open_screen("tune", kept[2])
    assert not app.exception, app.exception
    assert {"CSV", "Parquet", "JSON"} <= {one.label for one in app.get("download_button")}


def test_a_plan_is_loaded_with_its_maker_and_is_the_parent_of_what_is_made_of_it(kept, started, open_screen):
    _, book, ref = kept
    app = tick(open_screen("tune", ref), book, ref, FC)
    button(app, "Load this plan").click().run()
    assert book.drafts.present(ref) == FC
    book.drafts.save(ref, SparsityPlan((Cut("fc", "weight", 0.8),)))
    button(app.run(), "Measure this plan").click().run()
    made = book.get(ref, SparsityPlan((Cut("fc", "weight", 0.8),)).fingerprint())
    assert (made.made_by, made.parent) == ("hand", FC.fingerprint()[:8])
    book.drafts.save(ref, HALF)
    tick(app.run(), book, ref, FC)
    button(app, "Load this plan").click().run()
    button(app, "Measure this plan").click().run()
    assert book.get(ref, FC.fingerprint()).made_by == "solver"
    assert len(started) == 2


def test_the_plan_stands_in_the_address_and_a_link_to_another_offers_it_and_loads_nothing_by_itself(kept, open_screen):
    runs, _, ref = kept
    runs.save_draft(ref, HALF)
    app = open_screen("tune", ref)
    assert app.query_params["plan"] == HALF.fingerprint()[:8]
    app.query_params["plan"] = FC.fingerprint()[:8]
    app.run()
    assert "below is another" in texts(app)
    assert runs.draft(ref) == HALF
    button(app, "Load that plan").click().run()
    assert not app.exception
    assert runs.draft(ref) == FC
    assert app.query_params["plan"] == FC.fingerprint()[:8]
    assert "below is another" not in texts(app)
    app.query_params["plan"] = "beef"
    app.run()
    assert "The address asks for plan “beef”, which is not kept here; the plan below stays." in texts(app)
    app.run()
    assert "beef" not in texts(app)


def test_a_kept_plan_is_measured_with_what_is_predicted_of_it_now(kept, started, open_screen):
    runs, book, ref = kept
    app = tick(open_screen("tune", ref), book, ref, FC)
    assert "Measure shrunk" not in [b.label for b in app.button]  # nothing of it can be taken out
    button(app, "Measure").click().run()
    run = runs.get(started[0])
    assert SparsityPlan.from_document(run.request["plan"]) == FC
    assert book.get(ref, FC.fingerprint()).prediction is not None
    assert plans_table(app).set_index("plan").loc[FC.fingerprint()[:8], "masked"] == "being measured …"


def test_a_plan_that_was_measured_masked_can_still_be_measured_shrunk(kept, started, open_screen):
    runs, book, ref = kept
    app = tick(open_screen("tune", ref), book, ref, HALF)
    labels = [b.label for b in app.button]
    assert "Measure" not in labels
    assert "Forget it" not in labels
    button(app, "Measure shrunk").click().run()
    assert runs.get(started[0]).request["form"] == "shrunk"


def test_a_plan_gets_a_name_and_a_note_and_a_name_that_is_taken_is_refused(kept, open_screen):
    _, book, ref = kept
    app = tick(open_screen("tune", ref), book, ref, FC)
    next(field for field in app.text_input if field.label == "Name").set_value("small").run()
    next(field for field in app.text_area if field.label == "Note").set_value("for the phone").run()
    one = book.get(ref, FC.fingerprint())
    assert (one.name, one.note) == ("small", "for the phone")
    tick(app, book, ref, HALF)
    next(field for field in app.text_input if field.label == "Name").set_value("small").run()
    assert "is called 'small' already" in texts(app)
    assert book.get(ref, HALF.fingerprint()).name is None


def test_only_a_plan_that_was_not_measured_can_be_forgotten(kept, open_screen):
    _, book, ref = kept
    app = tick(open_screen("tune", ref), book, ref, FC)
    button(app, "Forget it").click().run()
    assert not app.exception
    assert [one.plan for one in book.all(ref)] == [HALF]


def test_two_plans_that_are_ticked_are_compared_line_by_line(kept, open_screen):
    _, book, ref = kept
    app = tick(open_screen("tune", ref), book, ref, FC, HALF)
    assert "They differ in 2 lines" in texts(app)
    frame = next(table.value for table in app.dataframe if "target" in table.value.columns)
    assert list(frame["target"]) == ["fc", "layer.self_attn:1"]
    a, b = FC.fingerprint()[:8], HALF.fingerprint()[:8]
    assert list(frame[a]) == ["90 %", "stays"]
    assert list(frame[b]) == ["50 %", "removed"]
    assert f"{b} removes 44 of 552 cuttable weights" in texts(app)


def test_the_plan_on_screen_is_told_in_a_sentence_with_what_was_predicted(kept, open_screen):
    runs, book, ref = kept
    book.keep(ref, FC, "hand", prediction=Prediction(1.0, 0.9, 0.8, 0.99, 0.1, 0.01, 0.2))
    measured(runs, ref, FC)
    book.drafts.save(ref, FC)
    app = open_screen("tune", ref)
    assert [m.label for m in app.metric] == ["dense", "predicted before", "this plan, measured", "gap, points"]
    drop = next(one for one in book.measured(ref) if one.kept.plan == FC).result.drop.value
    words = "worse" if drop > 0.1 else "better"
    assert f"{words} than predicted" in texts(app)


def test_a_measurement_that_failed_is_told_beside_its_plan(kept, open_screen):
    runs, _, ref = kept
    run, _ = runs.submit("measure", *plan_submission(ref, FC))
    runs.update(run.id, state="failed", error="the disk is full")
    app = open_screen("tune", ref)
    assert plans_table(app).set_index("plan").loc[FC.fingerprint()[:8], "masked"] == "failed: the disk is full"
    assert "The newest measurement failed: the disk is full" in texts(app)
