"""Every screen, driven as a person would: empty, running, failed and finished."""

import dataclasses
import json
import re

import pytest
from streamlit.testing.v1 import AppTest

from core import Cut, SparsityPlan
from core.jobs.submissions import plan_submission, sweep_submission
from core.jobs.worker import execute
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.request import SweepRequest
from core.sensitivity.slices import broken_examples, slice_drops
from tests.dashboard.conftest import APP, HALF, let_go, map_of, measured, plans_table, tuner_of


def figure(app, key):
    """The Plotly figure that a live chart was given."""
    for chart in app.get("bidi_component"):
        data = json.loads(chart.proto.json)
        if key in data.get("label", ""):
            return json.loads(data["figure"])
    raise AssertionError(f"no chart labelled {key}")


def texts(app):
    return " ".join(
        element.value for kind in ("markdown", "caption", "info", "warning", "error") for element in app.get(kind)
    )


def test_the_model_screen_lists_what_can_be_cut_in_network_order(workspace, open_screen):
    app = open_screen("model", workspace[1])
    table = app.dataframe[0].value
    assert table["target"].tolist() == [
        "layer.self_attn.in_proj", "layer.self_attn.out_proj", "layer.linear1", "layer.linear2", "fc", "unused",
    ]  # fmt: skip
    assert table["weights"].tolist() == [192, 64, 128, 128, 24, 16]
    assert [(m.label, m.value) for m in app.metric][2:4] == [("Layers", "6"), ("Attention heads", "2")]


def test_the_model_screen_gives_a_reason_for_every_parameter_that_cannot_be_cut(workspace, open_screen):
    runs, ref = workspace
    app = open_screen("model", ref)
    table = app.dataframe[-1].value
    assert table["how many"].sum() == len(runs.descriptions()[ref].uncuttable) > 0
    assert all(table["why"].str.len() > 10)


@pytest.mark.model
def test_a_model_that_was_never_read_is_read_by_a_worker_and_the_screen_says_so(fresh, started, open_screen):
    runs, _ = fresh
    app = open_screen("model", "tiny-gpt")
    assert [runs.get(run_id).kind for run_id in started] == ["describe"]
    assert "Reading tiny-gpt" in texts(app)


@pytest.mark.model
def test_a_model_that_cannot_be_read_says_why_and_offers_to_try_again(fresh, started, open_screen, tmp_path):
    runs, ref = fresh
    (tmp_path / "mine.py").write_text("raise RuntimeError('no checkpoint here')")
    run, _ = runs.submit("describe", ref, {})
    execute(runs, run.id)
    app = open_screen("model", ref)
    assert "no checkpoint here" in texts(app)
    next(b for b in app.button if b.label == "Try again").click().run()
    assert len(started) == 1


@pytest.mark.model
def test_an_empty_map_says_what_a_sweep_will_do_and_starts_it_with_one_click(fresh, started, open_screen):
    runs, ref = fresh
    app = open_screen("map", ref)
    assert "30 cells, each on 800 examples" in texts(app)
    next(b for b in app.button if b.label == "Measure").click().run()
    assert not app.exception
    run = runs.get(started[0])
    assert run.kind == "sweep"
    assert len(run.request["sparsities"]) == 10
    assert run.request["samples"] == 800


@pytest.mark.model
def test_a_bad_filter_for_layers_is_refused_on_the_form_and_nothing_starts(fresh, started, open_screen):
    runs, ref = fresh
    app = open_screen("map", ref)
    app.text_input(key="layers").set_value("conv(")
    next(b for b in app.button if b.label == "Measure").click().run()
    assert "not a regular expression" in texts(app)
    assert started == []
    assert runs.list("sweep") == ()


def test_the_map_shows_each_measured_drop_at_its_layer_and_sparsity(workspace, open_screen):
    runs, ref = workspace
    report = runs.report(runs.list("sweep", ref)[0])
    app = open_screen("map", ref)
    drawn = map_of(app, "every layer at every sparsity")
    assert drawn["names"] == list(dict.fromkeys(c.cut.target for c in report.cells if c.cut.sparsity))
    assert drawn["columns"] == ["25 %", "50 %", "90 %"]
    fc_at_90 = " ".join(drawn["cells"][4, 2]["lines"])
    cell = next(c for c in report.cells if c.cut == Cut("fc", "weight", 0.9))
    assert drawn["cells"][4, 2]["drop"] == cell.drop.value
    assert f"{100 * cell.drop.value:+.2f} points" in fc_at_90
    assert f"n = {report.dense.n}" in fc_at_90


def half_measured(runs, ref):
    """The newest sweep, as if only its 25 % cells had been measured so far; its cells."""
    run = runs.list("sweep", ref)[0]
    cells = [
        cell
        if cell.cut.sparsity == 0.25
        else dataclasses.replace(cell, state="waiting", drop=None, metric=None, reason=None)
        for cell in runs.report(run).cells
    ]
    runs.set_cells(run.id, cells)
    return cells


def test_a_cell_that_waits_shows_its_estimate_as_unknown_and_a_measured_one_does_not(workspace, open_screen):
    runs, ref = workspace
    cells = half_measured(runs, ref)
    app = open_screen("map", ref)
    drawn_cells = map_of(app, "every layer at every sparsity")["cells"]
    assert drawn_cells[4, 1]["drop"] is None  # fc at 50 %: none of the drop's colours
    assert drawn_cells[4, 0]["grey"] is None  # at 25 %: measured
    questions = {place for place, cell in drawn_cells.items() if cell["mark"] == "estimate"}
    assert questions == {(row, column) for row in range(5) for column in (1, 2)}  # not the layer that nothing uses
    waiting = [c for c in cells if c.state == "waiting" and c.cut.sparsity and c.estimate is not None]
    place = {name: i for i, name in enumerate(dict.fromkeys(c.cut.target for c in cells if c.cut.sparsity))}
    drawn = [drawn_cells[place[c.cut.target], {0.5: 1, 0.9: 2}[c.cut.sparsity]]["grey"] for c in waiting]
    by_estimate = sorted(range(10), key=lambda i: waiting[i].estimate)
    assert [drawn[i] for i in by_estimate] == sorted(drawn)  # in steps: the stronger the grey, the more it should cost
    assert len(set(drawn)) > 2
    said = " ".join(drawn_cells[4, 2]["lines"])
    assert "of 15 (1 costs most), from gradients on 40 calibration examples; not measured" in said
    assert "points" not in said
    assert (drawn_cells[5, 1]["mark"], drawn_cells[5, 1]["lines"][1]) == ("waiting", "not measured yet")


def test_the_rank_of_an_estimate_is_the_same_beside_a_filtered_map(workspace, open_screen):
    runs, ref = workspace
    half_measured(runs, ref)
    app = open_screen("map", ref)
    before = map_of(app, "every layer at every sparsity")["cells"][4, 1]["lines"]
    app.text_input(key="filter").set_value("fc").run()
    after = map_of(app, "every layer at every sparsity")["cells"][0, 1]["lines"]
    assert after == before


def test_a_click_on_an_estimate_says_what_it_is(workspace, open_screen):
    runs, ref = workspace
    half_measured(runs, ref)
    app = open_screen("map", ref)
    app.session_state["map-heads"] = {"hit": {"row": 0, "column": 1, "curve": 2, "x": 1, "y": 0}}
    app.run()
    assert "of 2 (1 costs most), from gradients on 40 calibration examples; not measured." in texts(app)


def test_below_the_map_stands_how_well_the_estimates_ranked_what_was_measured(workspace, open_screen):
    runs, ref = workspace
    found = runs.report(runs.list("sweep", ref)[0]).rank_correlation()
    app = open_screen("map", ref)
    expected = f"Estimates ranked the measured cells with Spearman ρ = {found.rho:.2f} (n = {found.n} cells)"
    assert expected.replace("-", "−") in texts(app)
    half_measured(workspace[0], ref)
    runs.update(runs.list("sweep", ref)[0].id, done=1)  # another map than the one that is remembered
    key = map_of(open_screen("map", ref), "every layer")["key"]
    assert "estimate, not measured" in next(words for mark, _, words in key if mark == "estimate")


def test_a_map_without_estimates_says_why_while_it_fills(workspace, open_screen):
    runs, ref = workspace
    run, cells = runs.list("sweep", ref)[0], half_measured(runs, ref)
    runs.set_cells(run.id, [dataclasses.replace(cell, estimate=None) for cell in cells])
    runs.update(run.id, result={**run.result, "preview": {"n": 0, "reason": "the workload has no calibration data"}})
    assert "No estimates: the workload has no calibration data" in texts(open_screen("map", ref))


def test_a_layer_that_nothing_uses_is_marked_no_effect_and_not_robust(workspace, open_screen):
    app = open_screen("map", workspace[1])
    drawn = map_of(app, "every layer at every sparsity")
    unused = [drawn["cells"][5, column] for column in range(3)]
    assert [cell["mark"] for cell in unused] == ["no effect"] * 3
    assert [cell["drop"] for cell in unused] == [None] * 3  # not even the calm colour
    assert ["no effect", "▨"] in [line[:2] for line in drawn["key"]]
    assert "failed" not in [line[0] for line in drawn["key"]]  # the key holds what occurs


def test_a_layer_of_no_effect_is_never_called_within_the_tolerance(workspace, open_screen):
    app = open_screen("map", workspace[1])
    app.number_input(key=f"tolerance-{workspace[1]}").set_value(100.0).run()
    app.switch_page("screens/tune/screen.py").run()
    rows = tuner_of(app)["rows"]
    assert rows["weight fc"]["limit"] == 0.9
    assert rows["weight unused"]["limit"] is None


def test_heads_have_a_map_of_their_own(workspace, open_screen):
    drawn = map_of(open_screen("map", workspace[1]), "one attention head")
    assert (drawn["columns"], drawn["names"]) == (["0", "1"], ["layer.self_attn"])


def test_a_click_on_a_cell_shows_it_and_puts_its_curve_on_the_chart(workspace, open_screen):
    app = open_screen("map", workspace[1])
    app.session_state["map-weights"] = {"hit": {"row": 4, "column": 1, "curve": 0, "x": 1, "y": 4}}
    app.run()
    assert not app.exception
    assert "**fc**, 50 % removed: 12 of 24 weights" in texts(app)
    assert app.multiselect(key="curve_layers").value == ["fc"]
    assert [t["name"] for t in figure(app, "chosen layers")["data"]][-1] == "fc"


def test_c_on_a_cell_puts_its_cut_into_the_plan_and_shows_it(workspace, open_screen):
    runs, ref = workspace
    app = open_screen("map", ref)
    app.session_state["map-weights"] = {"hit": {"row": 4, "column": 1, "act": "cut"}}
    app.run()
    assert not app.exception
    assert runs.draft(ref).cuts == (Cut("fc", "weight", 0.5),)
    assert "**fc**, 50 % removed" in texts(app)
    corners = map_of(app, "every layer")["corners"]
    assert [(mark, places) for mark, _, _, places in corners] == [("planned", [[4, 1]])]


def test_the_map_is_also_a_table_with_files(workspace, open_screen):
    runs, ref = workspace
    report = runs.report(runs.list("sweep", ref)[0])
    app = open_screen("map", ref)
    app.toggle(key="map-as-table").set_value(True).run()
    assert not app.exception
    table = next(frame.value for frame in app.dataframe if "target" in frame.value and "drop" in frame.value)
    assert table["target"].tolist() == [cell.cut.target for cell in report.cells]
    assert f"{len(report.cells):,} cells" in texts(app)
    assert {"CSV", "Parquet", "JSON"} <= {b.label for b in app.get("download_button")}


def click_fc_at_90(app):
    app.session_state["map-weights"] = {"hit": {"row": 4, "column": 2, "curve": 0, "x": 2, "y": 4}}
    app.run()
    assert not app.exception
    return app


def test_a_chosen_cell_says_which_classes_suffer_and_which_examples_are_lost(workspace, open_screen):
    runs, ref = workspace
    run = runs.list("sweep", ref)[0]
    app = click_fc_at_90(open_screen("map", ref))
    assert "Who suffers" in texts(app)
    cell = next(c for c in runs.report(run).cells if c.cut == Cut("fc", "weight", 0.9))
    drops = slice_drops(EvidenceStore(runs.workspace), runs.get(run.id).result, cell.evidence, "class")
    assert len(drops) == 3
    drawn = figure(app, "Drop by class")
    assert drawn["layout"]["yaxis"]["ticktext"] == [str(one.value) for one in drops]
    assert drawn["data"][0]["x"] == [100 * one.drop.value for one in drops]
    assert "of 3 looked at together" in texts(app)
    lost = broken_examples(EvidenceStore(runs.workspace), runs.get(run.id).result, cell.evidence, 100)
    assert app.expander[0].label == f"{lost.n_broken} of 120 examples came out worse, {lost.n_better} better."
    assert app.expander[0].dataframe[0].value["position"].tolist() == [one.position for one in lost.examples]


def test_a_workload_with_more_columns_lets_one_choose(workspace, open_screen):
    runs, ref = workspace
    run = runs.list("sweep", ref)[0]
    store = EvidenceStore(runs.workspace)
    for key, batch in store.read_batches(runs.get(run.id).result["batches"]).items():
        site = ["[red]<b>x</b>" if position % 2 else 7 for position in batch.positions]
        store.add_batch(key, batch.positions, {**batch.columns, "site": site})
    app = click_fc_at_90(open_screen("map", ref))
    app.selectbox(key="slice-column").select("site").run()
    assert not app.exception
    assert sorted(figure(app, "Drop by site")["layout"]["yaxis"]["ticktext"]) == ["7", "[red]<b>x</b>"]


def test_a_map_of_an_older_version_says_nothing_of_classes(workspace, open_screen):
    runs, ref = workspace
    run = runs.list("sweep", ref)[0]
    result = {key: value for key, value in run.result.items() if key not in ("batches", "dense_cell")}
    runs.update(run.id, result=result)
    app = click_fc_at_90(open_screen("map", ref))
    assert "**fc**, 90 % removed" in texts(app)
    assert "Who suffers" not in texts(app)
    assert not app.expander


def test_a_click_on_a_head_shows_the_curves_of_its_attention(workspace, open_screen):
    app = open_screen("map", workspace[1])
    app.session_state["map-heads"] = {"hit": {"row": 0, "column": 1, "curve": 0, "x": 1, "y": 0}}
    app.run()
    assert "**layer.self_attn:1**, the head removed" in texts(app)
    assert app.multiselect(key="curve_layers").value == ["layer.self_attn.in_proj", "layer.self_attn.out_proj"]


def test_an_address_with_a_model_that_is_not_known_says_so(workspace, open_screen, started):
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params["model"] = "hf:/home/me/mine?data=/home/me/test.csv"
    app.run()
    assert "`hf:/home/me/mine?data=/home/me/test.csv`, which this workspace does not know" in texts(app)
    assert "does not know" not in texts(open_screen("model", workspace[1]))


def test_an_address_with_a_model_in_full_opens_it(workspace):
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params["model"] = workspace[1]
    app.run()
    assert app.selectbox(key="model").value == workspace[1]
    assert "does not know" not in texts(app)


def test_cut_here_puts_the_clicked_cell_into_the_plan(workspace, open_screen):
    runs, ref = workspace
    app = open_screen("map", ref)
    app.session_state["chosen_cut"] = Cut("layer.self_attn:1", "head")
    app.run()
    app.button(key="cut-here").click().run()
    assert runs.draft(ref).cuts == (Cut("layer.self_attn:1", "head"),)


def test_the_curve_starts_at_the_dense_baseline_and_its_band_is_the_paired_interval(workspace, open_screen):
    runs, ref = workspace
    report = runs.report(runs.list("sweep", ref)[0])
    app = open_screen("map", ref)
    app.multiselect(key="curve_layers").set_value(["fc"]).run()
    band, line = figure(app, "chosen layers")["data"][-2:]
    cells = [c for c in report.cells if c.cut.target == "fc"]
    dense = 100 * report.dense.value
    assert line["x"] == [0.0, 25.0, 50.0, 90.0]
    assert line["y"] == pytest.approx([dense, *(100 * (report.dense.value - c.drop.value) for c in cells)])
    lowest = [max(0.0, 100 * (report.dense.value - c.drop.high)) for c in cells]
    assert band["y"][4:7] == pytest.approx(list(reversed(lowest)))


def test_the_filter_keeps_only_matching_layers_and_a_broken_one_keeps_all(workspace, open_screen):
    app = open_screen("map", workspace[1])
    app.text_input(key="filter").set_value("linear").run()
    assert map_of(app, "every layer")["names"] == ["layer.linear1", "layer.linear2"]
    app.text_input(key="filter").set_value("linear(").run()
    assert len(map_of(app, "every layer")["names"]) == 6
    assert "not a regular expression" in texts(app)


def test_a_running_sweep_shows_its_progress_on_every_screen_and_can_be_stopped(workspace, started, open_screen):
    runs, ref = workspace
    run, _ = runs.submit("sweep", *sweep_submission(SweepRequest(ref, (0.5,))))
    for screen in ("model", "map", "tune", "recover", "deliver"):
        app = open_screen(screen, ref)
        assert "sweeping" in app.get("progress")[0].proto.text
    app.button(key=f"stop-{run.id}").click().run()
    assert runs.get(run.id).state == "cancelled"


def test_a_sweep_that_has_measured_nothing_yet_leaves_the_former_map_on_the_screen(workspace, started, open_screen):
    runs, ref = workspace
    assert "here is the map of another" not in texts(open_screen("map", ref))
    runs.submit("sweep", *sweep_submission(SweepRequest(ref, (0.5,))))
    app = open_screen("map", ref)
    assert "Until this run has measured something, here is the map of another" in texts(app)
    assert len(map_of(app, "every layer")["columns"]) == 3


def test_a_stopped_sweep_keeps_its_cells_and_offers_to_go_on(workspace, started, open_screen):
    runs, ref = workspace
    run = runs.list("sweep", ref)[0]
    runs.update(run.id, state="cancelled", done=3, total=60)
    app = open_screen("map", ref)
    assert "was stopped after 5 % of its work. What it measured is kept." in texts(app)  # 3 of 20 cells x 3 batches
    assert map_of(app, "every layer")
    app.button(key=f"resume-{run.id}").click().run()
    assert started == [run.id]


def test_a_failed_sweep_shows_its_error(workspace, open_screen):
    runs, ref = workspace
    runs.update(runs.list("sweep", ref)[0].id, state="failed", error="the disk is full; free some space")
    assert "the disk is full; free some space" in texts(open_screen("map", ref))


def test_every_layer_of_the_plan_can_be_moved_and_the_change_is_on_disk_at_once(workspace, open_screen):
    runs, ref = workspace
    app = let_go(open_screen("tune", ref), ref, {"number": 1, "changes": {"weight fc": 0.5}, "focus": "weight fc"})
    assert runs.draft(ref).cuts == (Cut("fc", "weight", 0.5),)
    tuner = tuner_of(app)
    assert tuner["rows"]["weight fc"]["at"] == 0.5
    assert tuner["left"]["nonzeros"] == {"left": 552 - 12, "exact": True, "sum": 552 - 12}
    assert tuner["answered"] == {"drawing": "one", "number": 1}
    assert "**fc**: 50 % removed. Alone: " in texts(app)


def test_a_tick_removes_a_head_and_taking_it_back_restores_it(workspace, open_screen):
    runs, ref = workspace
    app, sent = open_screen("tune", ref), []
    for number, (ticked, expected) in enumerate(((1, (Cut("layer.self_attn:0", "head"),)), (0, ())), 1):
        sent.append({"number": number, "changes": {"head layer.self_attn:0": ticked}})
        let_go(app, ref, *sent)
        assert runs.draft(ref).cuts == expected


def test_a_message_that_comes_twice_counts_once(workspace, open_screen):
    runs, ref = workspace
    app = open_screen("tune", ref)
    let_go(app, ref, first := {"number": 1, "changes": {"weight fc": 0.5}})
    runs.save_draft(ref, SparsityPlan())  # somebody else took it out since
    let_go(app, ref, first, {"number": 2, "changes": {"weight unused": 0.3}})
    assert runs.draft(ref).cuts == (Cut("unused", "weight", 0.3),)
    let_go(app, ref, first, drawing="two")  # a new drawing counts from 1 again
    assert runs.draft(ref).sparsity_of("fc") == 0.5


def test_setting_all_then_leaving_and_coming_back_keeps_the_plan(workspace, open_screen):
    runs, ref = workspace
    app = open_screen("tune", ref)
    every = [key for key, row in tuner_of(app)["rows"].items() if row["kind"] == "weight"]
    let_go(app, ref, {"number": 1, "changes": dict.fromkeys(every, 0.9)})
    app.switch_page("screens/model/screen.py").run()
    app.switch_page("screens/tune/screen.py").run()
    assert {cut.sparsity for cut in runs.draft(ref).cuts} == {0.9}
    assert len(runs.draft(ref).cuts) == 6
    assert {row["at"] for row in tuner_of(app)["rows"].values() if row["kind"] == "weight"} == {0.9}


def test_undo_takes_back_one_step_and_redo_makes_it_again(workspace, open_screen):
    runs, ref = workspace
    app = open_screen("tune", ref)
    button = {name: lambda name=name: next(b for b in app.button if b.label == name) for name in ("Undo", "Redo")}
    assert button["Undo"]().disabled
    let_go(app, ref, {"number": 1, "changes": {"weight fc": 0.5}})
    before = tuner_of(app)["revision"]
    button["Undo"]().click().run()
    assert runs.draft(ref).cuts == ()
    assert tuner_of(app)["revision"] != before
    button["Redo"]().click().run()
    assert runs.draft(ref).cuts == (Cut("fc", "weight", 0.5),)
    assert tuner_of(app)["revision"] == before


def test_locks_and_bounds_outlive_the_browser(workspace, open_screen):
    _, ref = workspace
    let_go(open_screen("tune", ref), ref, {"number": 1, "holds": {"weight fc": [True, 0.0, 0.5]}})
    assert tuner_of(open_screen("tune", ref))["rows"]["weight fc"]["hold"] == [True, 0.0, 0.5]


def test_a_goal_moves_every_row_but_the_locked_ones(workspace, open_screen):
    runs, ref = workspace
    runs.save_draft(ref, SparsityPlan((Cut("fc", "weight", 0.25),)))
    app = open_screen("tune", ref)
    let_go(
        app, ref, {"number": 1, "holds": {"weight fc": [True, 0.0, 1.0]}},
        {"number": 2, "goal": {"kind": "nonzeros", "value": 0.5}},
    )  # fmt: skip
    plan = runs.draft(ref)
    assert plan.sparsity_of("fc") == 0.25
    assert len(plan.cuts) > 1
    assert tuner_of(app)["left"]["nonzeros"]["left"] <= 0.5 * 552
    assert re.match(r"50 % asked, [34]\d(\.\d+)? % reached: solved exactly", tuner_of(app)["note"])


def test_set_each_to_its_limit_takes_the_largest_sparsity_whose_interval_stays_within_the_tolerance(
    workspace, open_screen
):
    runs, ref = workspace
    report = runs.report(runs.list("sweep", ref)[0])
    app = open_screen("map", ref)
    app.number_input(key=f"tolerance-{ref}").set_value(40.0).run()
    app.switch_page("screens/tune/screen.py").run()
    next(b for b in app.button if b.label == "Set each to its limit").click().run()
    for cut in runs.draft(ref).cuts:
        cells = [c for c in report.cells if c.cut.target == cut.target and c.cut.sparsity <= cut.sparsity]
        assert all(c.drop.high <= 0.40 for c in cells)
        following = [c for c in report.cells if c.cut.target == cut.target and c.cut.sparsity > cut.sparsity]
        assert not following or following[0].drop.high > 0.40


def test_measuring_starts_a_run_of_exactly_the_plan_on_screen(workspace, started, open_screen):
    runs, ref = workspace
    runs.save_draft(ref, HALF)
    app = open_screen("tune", ref)
    next(b for b in app.button if b.label == "Measure this plan").click().run()
    run = runs.get(started[0])
    assert run.kind == "measure"
    assert SparsityPlan.from_document(run.request["plan"]).cuts == HALF.cuts


def test_a_measured_plan_is_listed_with_n_and_interval(workspace, open_screen):
    runs, ref = workspace
    run_id = measured(runs, ref, HALF)
    app = open_screen("tune", ref)
    row = plans_table(app).iloc[0]
    result = runs.get(run_id).result
    assert row["plan"] == HALF.fingerprint()[:8]
    assert "n = 120" in row["masked"]
    assert f"{100 * result['drop']['value']:+.2f}".replace("-", "−").lstrip("+") in row["masked"]
    assert row["removed"] == pytest.approx(100 * (12 + 32) / 552)


def test_an_empty_plan_cannot_be_measured_or_exported(workspace, open_screen):
    app = open_screen("tune", workspace[1])
    assert next(b for b in app.button if b.label == "Measure this plan").disabled
    assert "no plan yet" in texts(open_screen("deliver", workspace[1]))


@pytest.mark.process
def test_a_finished_export_is_offered_for_download_with_its_measured_figures(workspace, open_screen):
    runs, ref = workspace
    run, _ = runs.submit("export", *plan_submission(ref, HALF))
    assert execute(runs, run.id).state == "finished"
    app = open_screen("deliver", ref)
    assert app.get("link_button")[0].proto.url == f"bundles/{run.id}.zip"
    assert "n = 120" in texts(app)


def test_the_plan_to_export_says_whether_it_was_measured(workspace, open_screen):
    runs, ref = workspace
    runs.save_draft(ref, HALF)
    assert open_screen("deliver", ref).selectbox(key=f"plan-{ref}").value.endswith("2 cuts, not measured yet")
    measured(runs, ref, HALF)
    label = open_screen("deliver", ref).selectbox(key=f"plan-{ref}").value
    assert "2 cuts, " in label
    assert "n = 120" in label


def test_a_failed_export_says_why(workspace, started, open_screen):
    runs, ref = workspace
    run, _ = runs.submit("export", *plan_submission(ref, HALF))
    runs.update(run.id, state="failed", error="the disk is full; free some space")
    assert "the disk is full; free some space" in texts(open_screen("deliver", ref))


def test_a_workspace_that_cannot_be_read_is_a_message_and_not_a_crash(workspace, monkeypatch, tmp_path, open_screen):
    from dashboard.frame import workbench

    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "secateur.sqlite").write_bytes(b"this is no database, whatever its name says" * 50)
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "broken"))
    workbench._open.clear()
    from streamlit.testing.v1 import AppTest

    from tests.dashboard.conftest import APP

    app = AppTest.from_file(str(APP), default_timeout=30).run()
    assert not app.exception
    assert "is damaged" in texts(app)


def test_a_map_of_an_earlier_version_of_the_model_says_so_and_its_drops_are_not_used(workspace, open_screen):
    runs, ref = workspace
    description, _ = runs.description(ref)
    runs.remember(dataclasses.replace(description, fingerprint="retrained"))
    assert "earlier version of the model" in texts(open_screen("map", ref))
    rows = tuner_of(open_screen("tune", ref))["rows"].values()
    assert {(row["limit"], row["harm"]) for row in rows} == {(None, None)}


def test_two_browsers_work_on_one_plan_and_neither_overwrites_the_other(workspace, open_screen):
    runs, ref = workspace
    first, second = open_screen("tune", ref), open_screen("tune", ref)
    let_go(first, ref, one := {"number": 1, "changes": {"weight fc": 0.7}}, drawing="first")
    second.run()  # as its strip does by itself
    assert runs.draft(ref).cuts == (Cut("fc", "weight", 0.7),)
    assert tuner_of(second)["rows"]["weight fc"]["at"] == 0.7
    let_go(second, ref, {"number": 1, "changes": {"weight unused": 0.3}}, drawing="second")
    # in the same moment, from what the first browser still shows
    let_go(first, ref, one, {"number": 2, "changes": {"weight layer.self_attn.in_proj": 0.1}}, drawing="first")
    assert {(c.target, c.sparsity) for c in runs.draft(ref).cuts} == {
        ("fc", 0.7), ("unused", 0.3), ("layer.self_attn.in_proj", 0.1),
    }  # fmt: skip


def test_looking_at_a_plan_writes_nothing(workspace, open_screen, monkeypatch):
    runs, ref = workspace
    runs.save_draft(ref, HALF)
    written = []
    monkeypatch.setattr("core.jobs.drafts.Drafts.save", lambda self, *what: written.append(what))
    open_screen("tune", ref).run()
    assert written == []


def test_limits_change_only_the_layers_that_a_sweep_knows(workspace, open_screen):
    runs, ref = workspace
    runs.save_draft(ref, SparsityPlan((Cut("unused", "weight", 0.5),)))
    app = open_screen("map", ref)
    app.number_input(key=f"tolerance-{ref}").set_value(100.0).run()
    app.switch_page("screens/tune/screen.py").run()
    next(b for b in app.button if b.label == "Set each to its limit").click().run()
    plan = runs.draft(ref)
    assert plan.sparsity_of("unused") == 0.5  # no effect, so no limit: it stays
    assert plan.sparsity_of("fc") == 0.9


def test_a_newer_sweep_of_one_layer_does_not_hide_what_is_known_of_the_others(workspace, open_screen):
    runs, ref = workspace
    run, _ = runs.submit("sweep", *sweep_submission(SweepRequest(ref, (0.1,), "fc", heads=False)))
    assert execute(runs, run.id).state == "finished"
    app = open_screen("map", ref)
    app.number_input(key=f"tolerance-{ref}").set_value(100.0).run()
    rows = tuner_of(app.switch_page("screens/tune/screen.py").run())["rows"]
    assert {key for key, row in rows.items() if row["limit"] is not None} - {"weight fc"}


@pytest.mark.model
def test_a_file_that_cannot_be_read_is_in_the_list_with_its_error(fresh, started, open_screen, tmp_path):
    runs, _ = fresh
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('no checkpoint here')")
    run, _ = runs.submit("describe", str(broken), {})
    execute(runs, run.id)
    assert "no checkpoint here" in texts(open_screen("model", str(broken)))


@pytest.mark.model
def test_a_worker_that_died_while_reading_is_not_waited_for(fresh, started, open_screen):
    runs, _ = fresh
    run, _ = runs.submit("describe", "tiny-gpt", {})
    runs.update(run.id, pid=2**22 + 7, pid_started=0.0)
    assert "the worker process that was reading it died" in texts(open_screen("model", "tiny-gpt"))


def test_a_sweep_that_died_before_its_first_cell_is_told_of(workspace, started, open_screen):
    runs, ref = workspace
    for run in runs.list("sweep"):
        runs.update(run.id, state="running", result=None, pid=2**22 + 7, pid_started=0.0)
    assert "its worker died" in texts(open_screen("map", ref))


@pytest.mark.parametrize("dense", [0.002, -1.5, 0.0])
def test_a_map_of_a_small_or_negative_metric_is_drawn(workspace, open_screen, dense):
    runs, ref = workspace
    run = runs.list("sweep", ref)[0]
    scale = {
        "name": "error",
        "unit": "squared",
        "higher_is_better": False,
        "low": None,
        "high": None,
        "aggregate": "mean",
    }
    estimate = {"value": dense, "low": dense - 0.001, "high": dense + 0.001, "n": 120}
    runs.update(run.id, result={**run.result, "scale": scale, "dense": estimate})
    app = open_screen("map", ref)
    assert figure(app, "chosen layers")


def test_a_file_that_was_deleted_since_is_a_message_and_not_a_crash(workspace, open_screen, tmp_path):
    runs, ref = workspace
    gone = tmp_path / "gone.py"
    runs.remember(dataclasses.replace(runs.description(ref)[0], ref=str(gone), name="gone"))
    runs.save_draft(str(gone), HALF)
    app = open_screen("tune", str(gone))
    next(b for b in app.button if b.label == "Measure this plan").click().run()
    assert not app.exception
    assert "no workload file" in texts(app)


@pytest.mark.parametrize("typed", [1.5, 1, 0.9999999, -0.05])
def test_a_sparsity_that_cannot_be_is_refused_and_not_bent(workspace, open_screen, typed):
    runs, ref = workspace
    runs.save_draft(ref, HALF)
    app = let_go(open_screen("tune", ref), ref, {"number": 1, "changes": {"weight fc": typed}})
    assert "sparsity of fc must be a fraction in [0, 1)" in texts(app)
    assert runs.draft(ref) == HALF


def test_figures_of_another_plan_are_not_taken_for_those_of_the_plan_above(workspace, open_screen):
    runs, ref = workspace
    measured(runs, ref, HALF)
    runs.save_draft(ref, HALF)
    assert "this plan, measured" in [m.label for m in open_screen("tune", ref).metric]
    runs.save_draft(ref, SparsityPlan((Cut("fc", "weight", 0.9),)))
    app = open_screen("tune", ref)
    assert "newest measured plan" in [m.label for m in app.metric]
    assert "differs from it, and is not measured yet" in texts(app)
