"""Sweeps that stop early, on screen: what is asked, how far it is, and what is known of cells that were left early."""

import json
from dataclasses import asdict, replace

import pytest

from core import Cut
from core.jobs.submissions import sweep_submission
from core.jobs.worker import execute
from core.sensitivity.maps.described import map_of as described
from core.sensitivity.maps.layout import sparsity_grid
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.sensitivity.request import SweepRequest
from core.workload.metric import accuracy
from dashboard.figures.curves import curves_by_target, curves_figure
from dashboard.frame.theme import LIGHT
from tests.dashboard.conftest import let_go, map_of
from tests.dashboard.test_screens import texts

SCALE = accuracy().scale
DENSE = Estimate(0.9, 0.89, 0.91, 2000)


def cell(sparsity, drop, stage, n=50, verdict=None, target="fc", spread=0.02):
    interval = Estimate(drop, drop - spread, drop + spread, n)
    metric = Estimate(0.9 - drop, 0.9 - drop - spread, 0.9 - drop + spread, n)
    return CellResult(
        Cut(target, "weight", sparsity, "magnitude"), 1, 4, "measured", metric, interval,
        stage=stage, verdict=verdict, tolerance=0.01 if verdict else None,
    )  # fmt: skip


# full, interpolated, decided, few: one layer as a search leaves it
SEARCHED = (
    cell(0.2, 0.004, "full", 2000, "within", spread=0.003),
    cell(0.4, 0.3, "early"),
    cell(0.6, 0.044, "decided", 500, "beyond"),
    cell(0.8, 0.5, "early"),
)
REPORT = SensitivityReport("r", "m", SCALE, DENSE, SEARCHED, n_examples=2000)


def drawn(report):
    return described(sparsity_grid(report.cells), report)


def test_an_interpolated_cell_has_the_colour_of_its_neighbours_and_a_mark_of_its_own():
    found = drawn(REPORT)
    assert [cell.drop for cell in found.cells] == pytest.approx([0.004, 0.024, 0.044, 0.5])  # not the 30 of its own
    assert [cell.is_pale for cell in found.cells] == [False, True, False, True]
    assert [cell.mark for cell in found.cells] == [None, "between", None, "few"]
    assert found.marks == ("between", "few")


def test_the_words_say_why_a_cell_has_fewer_examples():
    full, between, decided, few = (" ".join(cell.lines) for cell in drawn(REPORT).cells)
    assert "decided" not in full
    assert "moment" not in full
    assert "interpolated between measured sparsities: +2.40 points" in between
    assert "its own 50 examples say: drop +30.00 points" in between
    assert "decided after 500 of 2,000 examples: all of them not within 1.00 points, interval and all" in decided
    assert "50 of 2,000 examples only: the answer did not need more" in few
    assert all("95 % interval that holds at every moment" in text for text in (between, decided, few))


def test_an_open_cell_says_how_far_it_is_and_that_its_interval_holds_at_every_moment():
    (cell_,) = drawn(replace(REPORT, cells=(cell(0.5, 0.1, "open", 250),))).cells
    assert "250 of 2,000 examples so far" in cell_.lines
    assert "holds at every moment" in cell_.lines[-1]


def test_no_promise_about_every_moment_is_made_for_a_metric_of_the_whole_set():
    scale = replace(SCALE, aggregate="macro_f1")
    (cell_,) = drawn(replace(REPORT, scale=scale, cells=(cell(0.5, 0.1, "open", 250),))).cells
    assert "in brackets: 95 % interval" in cell_.lines
    assert "moment" not in " ".join(cell_.lines)


def test_the_line_is_dashed_and_hollow_where_it_is_interpolated_and_ends_at_the_last_settled_cell():
    figure = curves_figure(REPORT, curves_by_target(SEARCHED), ["fc"], LIGHT)
    solid, dashed, guessed, few, measured = figure.data[-5:]
    assert solid.x == (0.0, 20.0, None)
    assert (dashed.x, dashed.line.dash) == ((20.0, 60.0, None), "dash")
    assert dashed.y[:2] == pytest.approx((89.6, 85.6))
    assert (guessed.x, guessed.marker.symbol) == ((40.0,), "circle-open")
    assert guessed.y == pytest.approx((87.6,))
    assert guessed.error_y.array is None
    assert (few.x, few.marker.symbol) == ((80.0,), "diamond-open")
    assert measured.x == (20.0, 60.0)
    assert measured.error_y.array == pytest.approx((0.3, 2.0))


@pytest.fixture
def searched(workspace):
    """The newest sweep, turned into a search that left cells of `fc` early; the runs, and the model."""
    runs, ref = workspace
    run = runs.list("sweep", ref)[0]
    cells = list(runs.report(run).cells)
    for i, found in enumerate(cells):
        if found.cut.target == "fc":
            stage = {0.25: "full", 0.5: "early", 0.9: "decided"}[found.cut.sparsity]
            n = {"full": 120, "decided": 60, "early": 12}[stage]
            cells[i] = replace(found, state="measured", stage=stage, drop=replace(found.drop, n=n),
                               verdict="beyond" if stage == "decided" else None, tolerance=0.01)  # fmt: skip
    runs.set_cells(run.id, cells)
    answers = {
        "fc": {"sparsity": 0.25, "certain": True, "monotone": False, "probes": 3, "tolerance": 0.01},
        "unused": {"sparsity": None, "certain": False, "monotone": True, "probes": 0, "tolerance": 0.01},
    }
    change(runs, run, {"answers": answers, "mode": "tolerance"}, mode="tolerance", tolerance=0.01)
    return runs, ref


def change(runs, run, result, **request):
    """Change what a run was asked and what came of it."""
    runs.update(run.id, request=json.dumps({**run.request, **request}), result={**run.result, **result})


def test_the_answers_of_a_search_stand_beside_its_map(searched, open_screen):
    app = open_screen("map", searched[1])
    assert "Most that each layer can lose within 1.00 points" in texts(app)
    table = app.dataframe[0].value
    assert table["layer"].tolist() == ["fc", "unused"]
    assert table["most"].tolist()[0] == 25
    assert table["most"].isna().tolist() == [False, True]
    assert table["sure"].tolist() == ["yes", "not settled"]
    assert table["curve"].tolist() == ["up and down", ""]
    app.text_input(key="filter").set_value("fc").run()
    assert app.dataframe[0].value["layer"].tolist() == ["fc"]
    assert "limits only" in app.selectbox[1].options[0]


def test_the_details_and_curves_say_that_n_differs_and_what_is_interpolated(searched, open_screen):
    app = open_screen("map", searched[1])
    app.session_state["map-weights"] = {"hit": {"row": 4, "column": 1, "curve": 0, "x": 1, "y": 4}}
    app.run()
    said = texts(app)
    assert "interpolated between measured sparsities" in said
    assert "its own 12 examples say" in said
    assert "n from 12 to 120, cell by cell" in said
    said = said.replace("\N{NO-BREAK SPACE}", " ")
    assert "Bars: paired 95 % interval or, before all examples are in, 95 % interval that holds at every moment" in said


def test_the_map_of_a_finished_exact_sweep_says_nothing_of_moments(workspace, open_screen):
    said = texts(open_screen("map", workspace[1]))
    assert "Band: paired 95 % interval, of the drop; n = 120." in said.replace("\N{NO-BREAK SPACE}", " ")
    assert "moment" not in said


def test_an_exact_and_a_search_run_of_the_same_n_are_one_and_full_cells_win(searched, open_screen):
    from dashboard.frame import workbench

    runs, ref = searched
    found = runs.description(ref)[0]
    run, _ = runs.submit("sweep", *sweep_submission(SweepRequest(ref, (0.5,), "fc", heads=False)))
    assert execute(runs, run.id).state == "finished"
    for exact_is_newest in (True, False):
        runs.update(run.id, created=2e9 if exact_is_newest else 1.0)
        cells = workbench.known_cells(ref, found)
        stages = {cut.sparsity: cell.stage for cut, cell in cells.items() if cut.target == "fc"}
        assert stages == {0.25: "full", 0.5: "full", 0.9: "decided"}


def test_a_finished_search_counts_as_all_of_its_examples_and_a_dry_run_as_none(searched):
    from dashboard.frame import workbench

    runs, ref = searched
    found = runs.description(ref)[0]
    search = runs.list("sweep", ref)[0]
    change(runs, search, {"dense": {**search.result["dense"], "n": 60}})  # all was decided on 60 of 120
    run, _ = runs.submit("sweep", *sweep_submission(SweepRequest(ref, (0.5,), "fc", False, 60)))
    assert execute(runs, run.id).state == "finished"
    dry, _ = runs.submit("sweep", *sweep_submission(SweepRequest(ref, (0.5,), "fc", False, 120, dry_run=True)))
    assert execute(runs, dry.id).state == "finished"
    stages = {c.cut.sparsity: c.stage for c in workbench.known_cells(ref, found).values() if c.cut.target == "fc"}
    assert stages == {0.25: "full", 0.5: "early", 0.9: "decided"}


def test_tune_calls_an_interpolated_drop_what_it_is(searched, open_screen):
    from core import SparsityPlan

    runs, ref = searched
    runs.save_draft(ref, SparsityPlan((Cut("fc", "weight", 0.5),), ref))
    app = open_screen("tune", ref)
    let_go(app, ref, {"number": 1, "focus": "weight fc"})
    assert "Alone: ≈ " in texts(app)
    assert ", interpolated" in texts(app)
    assert "n from 12 to 120" in texts(app)


def test_a_search_for_the_limits_is_asked_for_with_its_tolerance_in_points(fresh, started, open_screen):
    runs, ref = fresh
    app = open_screen("map", ref)
    assert app.radio(key="mode").value == "exact"
    assert not [field for field in app.number_input if "Tolerance" in field.label]
    app.radio(key="mode").set_value("tolerance").run()
    field = app.number_input(key=f"sweep-tolerance-{ref}")
    assert (field.label, field.value) == ("Tolerance, points", 1.0)
    field.set_value(2.5)
    next(b for b in app.button if b.label == "Measure").click().run()
    assert not app.exception
    request = runs.get(started[0]).request
    assert (request["mode"], request["tolerance"], request["samples"]) == ("tolerance", 0.025, 800)


def test_an_exact_sweep_asks_for_no_tolerance(fresh, started, open_screen):
    runs, ref = fresh
    app = open_screen("map", ref)
    next(b for b in app.button if b.label == "Measure").click().run()
    request = runs.get(started[0]).request
    assert (request["mode"], request["tolerance"]) == ("exact", None)


def test_the_strip_shows_examples_of_an_exact_sweep_and_decided_cells_of_a_search(workspace, monkeypatch):
    from dashboard.frame.strip import progress_text

    runs, _ = workspace
    monkeypatch.setattr("core.jobs.runs.time.time", lambda: 1010.0)
    run, _ = runs.submit("sweep", "fashion-resnet", {"mode": "exact"})
    cost = {"seconds": 18.0}
    runs.update(run.id, state="running", started=1000.0, total=2200, phase="trying every target", pid=None)
    run = replace(runs.get(run.id), state="running")
    assert progress_text(run) == "sweeping **fashion-resnet**: trying every target"
    run = replace(run, result={"cost": cost, "cost_at": 1008.0}, done=22, phase="220 cells, up to example 50 of 2,000")
    assert progress_text(run) == "sweeping **fashion-resnet**: 220 cells, up to example 50 of 2,000 · about 16 s left"
    run = replace(run, done=1100)  # half in 2 s
    assert progress_text(run).endswith("· about 2 s left")
    run = replace(run, request={"mode": "race"}, done=12, total=220, phase="12 of 220 cells decided")
    assert progress_text(run) == "sweeping **fashion-resnet**: 12 of 220 cells decided · at most 16 s left"


def test_a_map_that_sharpens_is_read_again_though_no_cell_was_closed(searched, open_screen, started):
    runs, ref = searched
    run, cells = runs.list("sweep", ref)[0], runs.report(runs.list("sweep", ref)[0]).cells
    runs.update(run.id, state="queued", created=9e9)
    app = open_screen("map", ref)
    position = next(i for i, c in enumerate(cells) if c.cut == Cut("fc", "weight", 0.9))
    sharper = replace(cells[position], drop=replace(cells[position].drop, n=77), stage="open")
    runs.set_news(run.id, {position: sharper}, run.done, run.reused, run.total, "phase", run.result)
    app.run()
    assert "77 of 120 examples so far" in map_of(app, "every layer")["cells"][4, 2]["lines"]


def test_a_dry_run_tells_the_cost_and_does_not_stand_before_a_map(workspace, open_screen):
    runs, ref = workspace
    run, _ = runs.submit("sweep", *sweep_submission(SweepRequest(ref, (0.3,), dry_run=True)))
    assert execute(runs, run.id).state == "finished"
    app = open_screen("map", ref)
    assert "dry run" not in app.selectbox[1].value
    assert "A dry run" not in texts(app)
    app.selectbox[1].select(run.id).run()
    assert not app.exception
    assert "A dry run: 8 cells × 120 examples" in texts(app)


def test_full_passes_are_told_of_with_their_reason(workspace, open_screen):
    runs, ref = workspace
    run = runs.list("sweep", ref)[0]
    change(runs, run, {"full_passes": ["torch.export: it branches", "fc.weight: differs", "x: y", "z: w"]})
    app = open_screen("map", ref)
    assert "Full passes, which take longer and give the same numbers: torch.export: it branches" in texts(app)
    assert app.expander[0].label == "2 more parts are measured by full passes"


def test_answers_go_through_the_workspace_as_they_are(searched):
    runs, ref = searched
    report = runs.report(runs.list("sweep", ref)[0])
    assert report.n_examples == 120
    assert {asdict(c)["stage"] for c in report.cells if c.cut.target == "fc"} == {"full", "early", "decided"}


def test_who_suffers_is_told_of_the_examples_that_this_run_measured_though_another_measured_more(searched, open_screen):
    app = open_screen("map", searched[1])
    app.session_state["map-weights"] = {"hit": {"row": 4, "column": 1, "curve": 0, "x": 1, "y": 4}}
    app.run()
    assert "examples came out worse" in texts(app) + "".join(expander.label for expander in app.expander)
    assert "of 120 examples" not in texts(app) + "".join(expander.label for expander in app.expander)
