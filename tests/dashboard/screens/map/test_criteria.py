"""Criteria on the Map screen: a form that asks for several, a map of one at a time, and all of them side by side."""

import pytest

from core import CellResult, Cut, Estimate, sweep
from core.sensitivity.criteria_comparison import compare_criteria
from dashboard.figures.criteria import criteria_figure
from dashboard.frame.theme import palette

SPARSITIES = (0.25, 0.5, 0.9)


def cell(target, criterion, sparsity, drop, reason=None):
    cut = Cut(target, "weight", sparsity, criterion)
    if reason is not None:
        return CellResult(cut, 0, 100, "failed", reason=reason)
    estimate = Estimate(drop, drop - 0.001, drop + 0.001, 500)
    return CellResult(cut, 50, 100, "measured", estimate, estimate)


def test_the_figure_shows_how_far_each_criterion_reaches_and_which_is_best():
    cells = (
        cell("a", "magnitude", 0.5, 0.002), cell("a", "magnitude", 0.7, 0.05), cell("a", "wanda", 0.5, 0.002),
        cell("a", "wanda", 0.7, 0.004), cell("a", "fpgm", 0.5, 0, "for channels"),
        cell("b", "magnitude", 0.5, 0.0020), cell("b", "wanda", 0.5, 0.0025),
    )  # fmt: skip
    compared = compare_criteria(cells, 0.01)
    figure = criteria_figure(compared, ("magnitude", "wanda", "fpgm"), palette("light"), chosen="b")
    heatmap, marks = figure.data
    assert [list(row) for row in heatmap.z] == [[50, 70, None], [50, 50, None]]
    assert [list(row) for row in heatmap.text] == [["50 %", "<b>70 %</b>", ""], ["<b>50 %</b>", "50 %·", ""]]
    assert (list(marks.x), list(marks.y), list(marks.text)) == ([2], [0], ["–"])
    assert "for channels" in heatmap.hovertext[0][2]
    assert "cannot tell it from magnitude" in heatmap.hovertext[1][1]
    assert list(figure.layout.yaxis.ticktext) == ["a", "b"]
    assert (figure.layout.shapes[0].y0, figure.layout.shapes[0].y1) == (0.5, 1.5)


def test_what_the_examples_cannot_decide_has_no_colour_and_a_question_mark():
    wide = Estimate(0.0, -0.03, 0.03, 100)
    cells = tuple(
        CellResult(Cut("a", "weight", 0.5, name), 50, 100, "measured", wide, wide) for name in ("magnitude", "wanda")
    )
    heatmap, marks = criteria_figure(compare_criteria(cells, 0.01), ("magnitude", "wanda"), palette("light")).data
    assert [list(row) for row in heatmap.z] == [[None, None]]
    assert list(marks.text) == ["?", "?"]
    assert "cannot tell" in heatmap.hovertext[0][0]


@pytest.fixture
def compared(workspace):
    """The swept workspace, swept by two more criteria, of which one has no meaning for weights."""
    runs, ref = workspace
    sweep(ref, sparsities=SPARSITIES, criteria=("wanda", "fpgm"), heads=False, workspace=runs.workspace.folder)
    return runs, ref


def subheaders(app):
    return [header.value for header in app.subheader]


def test_with_a_single_criterion_there_is_nothing_to_compare_and_nothing_to_choose(workspace, open_screen):
    app = open_screen("map", workspace[1])
    assert "Criteria compared" not in subheaders(app)
    assert not [control for control in app.button_group if control.label == "Criterion"]


def test_criteria_of_several_sweeps_stand_side_by_side(compared, open_screen):
    app = open_screen("map", compared[1])
    assert "Criteria compared" in subheaders(app)
    assert any("one curve per criterion" in text.value for text in app.markdown)


def test_the_map_shows_one_criterion_at_a_time(compared, open_screen):
    app = open_screen("map", compared[1])
    (control,) = [control for control in app.button_group if control.label == "Criterion"]
    assert control.value == "wanda"
    assert app.multiselect(key="curve_layers").value[0].endswith(" by wanda")  # the curves are of the same criterion
    control.set_value("fpgm").run()
    assert not app.exception


def test_the_form_asks_for_the_criteria_that_are_chosen(fresh, open_screen, started):
    runs, ref = fresh
    app = open_screen("map", ref)
    chosen = app.multiselect(key="criteria")
    assert chosen.value == ["magnitude"]
    assert "head_gradient" not in "".join(chosen.options)
    chosen.set_value(["magnitude", "taylor"])
    next(button for button in app.button if button.label == "Measure").click()
    app.run()
    assert not app.exception
    assert runs.get(started[0]).request["criteria"] == ["magnitude", "taylor"]


def test_no_criterion_is_refused_in_the_form(fresh, open_screen, started):
    app = open_screen("map", fresh[1])
    app.multiselect(key="criteria").set_value([])
    next(button for button in app.button if button.label == "Measure").click()
    app.run()
    assert "at least one criterion" in app.error[0].value
    assert not started
