"""From the head map to a smaller model: choose heads, measure them, take them out."""

import pytest

from core import Cut, SparsityPlan
from core.jobs.worker import execute
from dashboard.screens.map import heads_panel
from dashboard.screens.map.heads_panel import safe_text
from tests.dashboard.conftest import measured
from tests.dashboard.screens.map.test_channels import click
from tests.dashboard.test_screens import texts

FIRST, SECOND = Cut("layer.self_attn:0", "head"), Cut("layer.self_attn:1", "head")


def test_a_head_that_is_toggled_goes_into_the_plan_and_out_again(workspace, open_screen):
    runs, ref = workspace
    app = click(open_screen("map", ref), 0, 1, "map-heads")
    assert runs.draft(ref).cuts == ()  # a click alone shows it
    assert "**layer.self_attn:1**, the head removed" in texts(app)
    runs.save_draft(ref, SparsityPlan((Cut("fc", "weight", 0.5),), ref))
    heads_panel.toggle(ref, FIRST)
    assert runs.draft(ref).cuts == (Cut("fc", "weight", 0.5), FIRST)
    heads_panel.toggle(ref, FIRST)
    assert runs.draft(ref).cuts == (Cut("fc", "weight", 0.5),)


def test_heads_are_put_into_the_plan_and_taken_out_of_it_beside_other_cuts(workspace, open_screen):
    runs, ref = workspace
    runs.save_draft(ref, SparsityPlan((Cut("fc", "weight", 0.5),), ref))
    app = open_screen("map", ref)
    heads = next(field for field in app.multiselect if field.label == "Heads to remove")
    heads.set_value([SECOND]).run()
    assert not app.exception
    assert runs.draft(ref).cuts == (Cut("fc", "weight", 0.5), SECOND)
    next(field for field in app.multiselect if field.label == "Heads to remove").set_value([]).run()
    assert runs.draft(ref).cuts == (Cut("fc", "weight", 0.5),)


def test_those_within_the_tolerance_are_chosen_with_one_click(workspace, open_screen):
    runs, ref = workspace
    app = open_screen("map", ref)
    app.number_input(key=f"tolerance-{ref}").set_value(100.0).run()
    assert app.button(key="choose-safe").label == "Choose the 2 that stay within the tolerance"
    app.button(key="choose-safe").click().run()
    assert runs.draft(ref).cuts == (FIRST, SECOND)


@pytest.mark.parametrize(
    ("button", "kind", "form"), [("measure-heads", "measure", None), ("shrink-heads", "export", "shrunk")]
)
def test_the_chosen_heads_are_measured_or_taken_out_from_the_map(workspace, started, open_screen, button, kind, form):
    runs, ref = workspace
    runs.save_draft(ref, SparsityPlan((FIRST,), ref))
    app = open_screen("map", ref)
    app.button(key=button).click().run()
    assert not app.exception
    run = runs.get(started[0])
    assert (run.kind, run.request.get("form")) == (kind, form)
    assert SparsityPlan.from_document(run.request["plan"]).cuts == (FIRST,)


def test_what_was_measured_together_stands_beside_the_chosen_heads(workspace, open_screen):
    runs, ref = workspace
    plan = SparsityPlan((FIRST,), ref)
    runs.save_draft(ref, plan)
    measured(runs, ref, plan)
    app = open_screen("map", ref)
    assert "**Measured together**: drop" in texts(app)
    assert "n = 120, paired" in texts(app)
    assert app.button(key="measure-heads").disabled


def test_a_guess_is_called_one(workspace, open_screen):
    runs, ref = workspace
    runs.save_draft(ref, SparsityPlan((FIRST, SECOND), ref))
    assert "Guess, not measured: ≈ " in texts(open_screen("map", ref))


@pytest.mark.process
def test_after_shrinking_the_map_says_where_the_bundle_is(workspace, open_screen):
    from core.jobs.submissions import plan_submission

    runs, ref = workspace
    plan = SparsityPlan((FIRST,), ref)
    runs.save_draft(ref, plan)
    run, _ = runs.submit("export", *plan_submission(ref, plan, form="shrunk"))
    done = execute(runs, run.id)
    app = open_screen("map", ref)
    if done.state == "finished":
        assert "it is on the Deliver screen" in " ".join(box.value for box in app.success)
    else:
        assert f"Not shrunk: {done.error}" in texts(app)


def test_one_head_within_the_tolerance_stays_and_two_stay():
    assert [safe_text(n, are_chosen=False) for n in (1, 2)] == [
        "Choose the one that stays within the tolerance", "Choose the 2 that stay within the tolerance",
    ]  # fmt: skip
    assert safe_text(1, are_chosen=True) == "The one that stays within it is chosen"
    assert safe_text(0, are_chosen=True) == "None surely stays within it"
