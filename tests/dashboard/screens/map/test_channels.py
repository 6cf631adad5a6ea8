"""Coupled groups on every screen: swept, shown beside the weights, cut, measured and taken out."""

import json

import pytest

from core import Cut, SparsityPlan, sweep
from core.jobs.submissions import plan_submission
from core.jobs.worker import execute
from core.sensitivity.maps.layout import head_grid, sparsity_grid
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.metric import accuracy
from dashboard.figures.curves import curves_by_target
from dashboard.frame.theme import LIGHT
from dashboard.maps.data import map_data, map_text
from tests.dashboard.conftest import let_go, map_of, opened, tuner_of
from tests.dashboard.test_screens import texts

GROUP = "layer.linear1"  # 16 neurons, which layer.linear2 reads


def cell(target, granularity, sparsity=None, drop=0.1, state="measured", reason=None):
    found = Estimate(drop, drop - 0.01, drop + 0.01, 100) if state == "measured" else None
    cut = Cut(target, granularity, sparsity)
    return CellResult(cut, 1, 2, state, found, found, reason)


CELLS = (
    cell("stem", "weight", 0.5), cell("conv", "weight", 0.5), cell("stem", "channel", 0.25),
    cell("stem", "channel", 0.9, state="failed", reason="0.9 of the 2 channels of stem would leave none; cut less"),
    cell("tokens", "channel", 0.25),
)  # fmt: skip
REPORT = SensitivityReport("r", "m", accuracy().scale, Estimate(0.9, 0.88, 0.92, 100), CELLS, n_examples=100)


def test_channels_stand_beside_the_weights_in_the_row_that_their_group_is_named_after():
    grid = sparsity_grid(CELLS, goes_with={"conv": "stem"})
    assert grid.rows == ("stem", "conv", "tokens")  # a group without a layer of its name comes last
    assert grid.columns == ("50 %", "", "25 %", "90 %")
    assert grid.headings == (("weights", 0.0), ("channels & neurons", 2.5))
    assert {place: found.cut.granularity for place, found in grid.cells.items()} == {
        (0, 0): "weight", (1, 0): "weight", (0, 2): "channel", (0, 3): "channel", (2, 2): "channel",
    }  # fmt: skip
    assert grid.notes == {(1, 2): "with stem"}


def test_the_map_has_headings_notes_and_the_corner_of_what_is_planned():
    grid = sparsity_grid(CELLS, goes_with={"conv": "stem"})
    told = opened(map_data(map_text(grid, REPORT), grid, 0.01, LIGHT, "x", planned={CELLS[2].cut}))
    assert told["headings"] == [["weights", 0.0], ["channels & neurons", 2.5]]
    assert told["kinds"] == ["weights", "", "channels & neurons", "channels & neurons"]
    assert told["notes"] == [[1, 2, "with stem"]]
    assert [(mark, places) for mark, _, _, places in told["corners"]] == [("planned", [(0, 2)])]
    assert "would leave none" in told["cells"][0, 3]["lines"][1]


def test_a_place_without_a_cell_says_why():
    grid = sparsity_grid(CELLS, goes_with={"conv": "stem"})
    told = opened(map_data(map_text(grid, REPORT, reasons={"tokens": "it is looked up"}), grid, 0.01, LIGHT, "x"))
    absent = {name: row[4] for name, row in zip(told["names"], told["rows"], strict=True)}
    assert absent["conv"]["channels & neurons"] == "its channels & neurons go with stem"
    assert absent["tokens"]["weights"] == "no weights of it are cut in this run: it is looked up"
    assert absent["tokens"]["channels & neurons"] == "there is no such cut of its channels & neurons"


def test_key_value_groups_stand_beside_the_heads():
    cells = [cell(f"a:{i}", "head") for i in range(4)] + [cell(f"a:kv{i}", "kv_group") for i in range(2)]
    grid = head_grid(cells)
    assert grid.columns == ("0", "1", "2", "3", "", "0", "1")
    assert grid.rows == ("a",)
    assert grid.cells[0, 6].cut.target == "a:kv1"
    assert [text for text, _ in grid.headings] == ["heads", "key/value groups"]


def test_curves_of_channels_have_names_of_their_own():
    assert list(curves_by_target(CELLS)) == ["stem", "conv", "channels of stem", "channels of tokens"]


def test_alignment_is_asked_for_only_with_channels_and_both_reach_the_request(fresh, started, open_screen):
    runs, ref = fresh
    app = open_screen("map", ref)
    assert not [group for group in app.segmented_control if group.key == "align"]
    app.pills(key=f"what-{ref}").set_value(["weight", "channel", "2:4"]).run()
    app.segmented_control(key="align").set_value(8).run()
    next(b for b in app.button if b.label == "Measure").click().run()
    assert not app.exception
    request = runs.get(started[0]).request
    assert (request["weights"], request["channels"], request["align"]) == (True, True, 8)
    assert (request["heads"], request["blocks"], request["patterns"]) == (False, False, ["2:4"])


def test_nothing_to_remove_is_refused_on_the_form(fresh, started, open_screen):
    _, ref = fresh
    app = open_screen("map", ref)
    app.pills(key=f"what-{ref}").set_value([]).run()
    assert next(b for b in app.button if b.label == "Measure").disabled
    assert "nothing to sweep" in texts(app)
    assert started == []


def click(app, row, column, chart="map-weights"):
    app.session_state[chart] = {"hit": {"row": row, "column": column, "curve": 0, "x": column, "y": row}}
    app.run()
    assert not app.exception
    return app


def test_a_click_on_channels_shows_the_group_its_members_and_both_curves(coupled, open_screen):
    runs, ref = coupled
    app = open_screen("map", ref)
    assert map_of(app, "every layer")["names"][2] == GROUP
    click(app, 2, 5)  # 50 % of the neurons
    said = texts(app)
    assert f"**{GROUP}**, 50 % of its neurons removed, a multiple of 2 stays: 8 of 16 neurons, 136 of 272" in said
    assert app.multiselect(key="curve_layers").value == [f"channels of {GROUP}", GROUP]
    (members,) = [table.value for table in app.dataframe if "with each neuron" in table.value]
    assert members.to_numpy().tolist() == [["layer.linear1", "makes"], ["layer.linear2", "reads"]]
    assert "16 neurons coupled in 2 layers, kept in multiples of 2" in [box.label for box in app.expander]
    app.button(key="cut-here").click().run()
    assert runs.draft(ref).cuts == (Cut(GROUP, "channel", 0.5, align=2),)


def test_the_chooser_leaves_only_what_was_chosen_on_the_map(coupled, open_screen):
    app = open_screen("map", coupled[1])
    (chooser,) = [group for group in app.pills if str(group.key).startswith("shown-")]
    chooser.set_value(["channel"]).run()
    drawn = map_of(app, "every layer")
    assert drawn["names"] == [GROUP]
    assert drawn["columns"] == ["25 %", "50 %", "90 %"]
    assert not [chart for chart in app.get("bidi_component") if "head" in json.loads(chart.proto.json).get("label", "")]


def test_a_group_that_cannot_be_cut_so_says_why_and_is_not_offered(coupled, open_screen):
    runs, ref = coupled
    sweep(ref, sparsities=(0.5,), channels=True, align=32, workspace=runs.workspace.folder)
    app = open_screen("map", ref)
    assert f"channels of {GROUP} at 50 %: {GROUP} has 16 channels, fewer than the 32" in texts(app)
    click(app, 2, 2)
    assert "failed: layer.linear1 has 16 channels" in texts(app)
    assert app.button(key="cut-here").disabled


def test_groups_have_rows_of_their_own_and_their_changes_keep_those_of_the_layers(coupled, open_screen):
    runs, ref = coupled
    runs.save_draft(ref, SparsityPlan((Cut("fc", "weight", 0.5),), ref))
    app = open_screen("tune", ref)
    groups = {key: row["what"] for key, row in tuner_of(app)["rows"].items() if row["kind"] == "channel"}
    assert groups == {f"channel {GROUP}": "16 neurons of Linear"}
    app.segmented_control(key=f"align-{ref}").set_value(4).run()
    let_go(app, ref, {"number": 1, "changes": {f"channel {GROUP}": 0.5}})
    assert runs.draft(ref).cuts == (Cut("fc", "weight", 0.5), Cut(GROUP, "channel", 0.5, align=4))
    assert tuner_of(app)["rows"][f"channel {GROUP}"]["what"] == "16 neurons of Linear, ×4 stay"


def test_the_totals_say_what_becomes_zero_and_what_is_gone_when_shrunk(coupled, open_screen):
    runs, ref = coupled
    runs.save_draft(ref, SparsityPlan((Cut(GROUP, "channel", 0.5),), ref))
    left = tuner_of(open_screen("tune", ref))["left"]
    assert left["nonzeros"]["left"] == 552 - 128
    assert left["parameters"]["left"] == runs.description(ref)[0].n_parameters - 136


def test_one_slider_sets_one_group(coupled, open_screen):
    runs, ref = coupled
    key = f"channel {GROUP}"
    app = let_go(open_screen("tune", ref), ref, {"number": 1, "changes": {key: 0.25}, "focus": key})
    assert runs.draft(ref).cuts == (Cut(GROUP, "channel", 0.25),)
    assert "4 of 16 neurons go" in texts(app)


def test_a_plan_of_channels_is_measured_and_its_measured_share_is_the_counted_one(coupled, open_screen):
    runs, ref = coupled
    plan = SparsityPlan((Cut(GROUP, "channel", 0.5),), ref)
    runs.save_draft(ref, plan)
    run, _ = runs.submit("measure", *plan_submission(ref, plan))
    assert execute(runs, run.id).state == "finished"
    app = open_screen("tune", ref)
    assert app.dataframe[-1].value["removed"].tolist() == [pytest.approx(100 * 128 / 552)]


def test_the_model_screen_lists_groups_with_their_members(coupled, open_screen):
    app = open_screen("model", coupled[1])
    assert next(m.value for m in app.metric if m.label == "Coupled groups") == "1"
    (groups,) = [table.value for table in app.dataframe if "members" in table.value]
    assert groups.iloc[0].tolist() == [GROUP, "16 neurons", 2, 272, "layer.linear1 makes · layer.linear2 reads"]


def test_many_sparsities_beside_each_other_have_their_percent_sign_in_the_heading():
    steps = [i / 10 for i in range(1, 10)]
    cells = [cell("stem", granularity, s) for granularity in ("weight", "channel") for s in steps]
    grid = sparsity_grid(cells)
    assert grid.columns[:2] == ("10", "20")
    assert [text for text, _ in grid.headings] == ["weights, %", "channels & neurons, %"]
    assert sparsity_grid(cells, ("weight",)).columns[:2] == ("10 %", "20 %")


def test_a_thorough_sweep_of_layers_does_not_hide_a_quick_one_of_channels(coupled, open_screen):
    runs, ref = coupled
    sweep(ref, sparsities=(0.75,), channels=True, weights=False, samples=60, workspace=runs.workspace.folder)
    from dashboard.frame import workbench

    cells = workbench.known_cells(ref, runs.description(ref)[0])
    assert {cell.drop.n for cut, cell in cells.items() if cut.granularity == "channel" and cell.drop} == {120}
    for run in runs.list("sweep", ref)[1:]:  # all but the quick one have no channels
        kept = [found for found in runs.report(run).cells if found.cut.granularity != "channel"]
        runs.set_cells(run.id, kept)
        runs.update(run.id, done=run.done + 1)
    cells = workbench.known_cells(ref, runs.description(ref)[0])
    numbers = {(cut.granularity, cell.drop.n) for cut, cell in cells.items() if cell.drop}
    assert numbers == {("weight", 120), ("head", 120), ("channel", 60)}
