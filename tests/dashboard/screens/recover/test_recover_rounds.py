"""A round that is kept: gone on from with other settings, and swept beside the dense model."""

import pytest

from core import Cut
from core.jobs.known.kept_rounds import recovered_path
from core.jobs.launch import start_sweep
from core.recovery.request import RecoverRequest
from core.recovery.round_file import path_of
from core.sensitivity.report import CellResult, SensitivityReport
from core.sensitivity.request import SweepRequest
from dashboard.screens.recover.recover_panel import kept_text
from dashboard.screens.recover.recovered_maps import criteria_of, pair, shared_grids
from tests.dashboard.conftest import map_of
from tests.dashboard.screens.recover.test_recover import SCALE, estimate, under_way
from tests.dashboard.screens.tune.test_plans import button, texts


@pytest.fixture
def stopped(trained, started, open_screen):
    """Runs, reference, and a recovery that was stopped after two rounds of five; their checkpoints are there."""
    runs, ref = trained
    button(open_screen("recover", ref), "Start").click().run()
    under_way(runs, ref, started[0], state="cancelled")
    folder = runs.workspace.folder / "recoveries" / "abc"
    folder.mkdir(parents=True)
    for number in (1, 2):
        path_of(folder, number).touch()
    return runs, ref, started[0]


def test_a_stopped_recovery_says_what_is_kept_and_where_it_goes_on(stopped, open_screen):
    runs, ref, _ = stopped
    app = open_screen("recover", ref)
    assert "Rounds 1 to 2 are kept, and Resume goes on with round 3 of 5 from its beginning." in texts(app)
    assert "· stopped" in texts(app)
    button(app, "Resume").click().run()
    assert "What is lost is at most the round under way" in texts(app)
    assert len(runs.list("recover", ref)) == 1


def test_rolling_back_goes_on_from_the_chosen_round_with_the_settings_of_the_form(stopped, open_screen):
    runs, ref, first = stopped
    app = open_screen("recover", ref)
    chosen = next(s for s in app.selectbox if s.label == "Round")
    assert chosen.value == 1  # the best within the tolerance
    assert "round 1: 50 % gone, accuracy 89.00 %, best within the tolerance" in chosen.options
    chosen.set_value(2)
    app.number_input(key=f"recover-rate-{ref}").set_value(1e-4).run()
    assert "cubic, 3 more rounds to 90 %. This recovery and its rounds stay as they are." in texts(app)
    assert "gone already" not in texts(app)  # 84 % after the third round, 75 % now
    button(app, "Go on from round 2").click().run()
    assert not app.exception, app.exception
    run = runs.list("recover", ref)[0]
    assert run.id != first
    request = RecoverRequest.from_json(dict(run.request))
    assert request.start == str(path_of((runs.workspace.folder / "recoveries" / "abc").resolve(), 2))
    assert request.fine_tuning.rate == 1e-4
    assert "from round 2 of an earlier one" in texts(app)


def test_a_schedule_that_would_cut_nothing_in_the_next_round_says_so(stopped, open_screen):
    _, ref, _ = stopped
    app = open_screen("recover", ref)
    next(s for s in app.selectbox if s.label == "Round").set_value(2)
    app.number_input(key=f"recover-final-{ref}").set_value(70.0).run()
    assert "By that schedule round 3 ends at 66 %; 75 % are gone already" in texts(app)  # 70 · (1 - 0.4³) = 65.5


def test_a_schedule_with_too_few_rounds_is_told_what_to_change(stopped, open_screen):
    _, ref, _ = stopped
    app = open_screen("recover", ref)
    app.selectbox(key=f"recover-schedule-{ref}").set_value("one_shot").run()
    assert "To go on from round 1, give the schedule above more than 1 round; it has 1." in texts(app)
    assert button(app, "Go on from round 1").disabled
    app.text_input(key=f"recover-device-{ref}").set_value("gpu").run()
    assert "mend what the form above says first" in texts(app)


def test_a_checkpoint_that_is_gone_is_answered_in_words(stopped, open_screen):
    runs, ref, _ = stopped
    path_of(runs.workspace.folder / "recoveries" / "abc", 1).unlink()
    app = open_screen("recover", ref)
    for label in ("Go on from round 1", "Sweep the recovered model"):
        button(app, label).click().run()
        assert "is gone; recover again to have it back" in texts(app)
        assert not app.exception


def test_a_round_goes_from_the_table_to_two_maps_of_the_same_cells(trained, worker_here, open_screen):
    runs, ref = trained
    app = open_screen("recover", ref)
    next(n for n in app.number_input if n.label == "Rounds").set_value(2)
    app.number_input(key=f"recover-steps-{ref}").set_value(2).run()
    button(app, "Start").click().run()
    (recovery,) = runs.list("recover", ref)
    before, _ = start_sweep(runs, SweepRequest(ref, (0.5, 0.9), samples=300))
    assert "measures the cells of the dense model's newest map" in texts(app.run())
    button(app, "Sweep the recovered model").click().run()
    assert not app.exception, app.exception
    path = str(recovered_path(runs, recovery, 2))
    (after,) = runs.list("sweep", path)
    assert after.state == "finished", after.error
    assert {**after.request, "workload": None} == {**runs.get(before.id).request, "workload": None}
    first, second = (map_of(app, f"Drop of the {name} model, layer") for name in ("dense", "recovered"))
    for alike in ("names", "columns", "tolerance", "ends", "colours"):
        assert first[alike] == second[alike]
    assert first["columns"] == ["50", "90"]
    last = recovery.result["history"][-1]["after"]["value"]
    assert runs.report(after).dense.value == pytest.approx(last, abs=0.06)  # 300 of the 1,000 examples
    assert [m.label for m in app.metric if "nothing cut further" in m.label] == [
        "Dense: accuracy, nothing cut further", "Recovered: accuracy, nothing cut further",
    ]  # fmt: skip
    assert "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}300" in texts(app)
    assert f"`{path}`" in texts(app)


def test_without_a_dense_map_both_models_are_swept(trained, worker_here, open_screen):
    runs, ref = trained
    app = open_screen("recover", ref)
    app.selectbox(key=f"recover-schedule-{ref}").set_value("one_shot")
    app.number_input(key=f"recover-steps-{ref}").set_value(1).run()
    button(app, "Start").click().run()
    assert "and of the dense model, which has none" in texts(app)
    button(app, "Sweep the recovered model").click().run()
    assert [run.state for run in runs.list("sweep")] == ["finished"] * 2
    assert map_of(app, "Drop of the recovered model, layer")["cells"]


def test_maps_are_paired_by_what_was_asked_and_the_newest_come_first(trained, started):
    runs, ref = trained
    other = str(runs.workspace.folder / "recovered.py")
    wide, narrow = {"sparsities": [0.5, 0.9]}, {"sparsities": [0.5]}
    for workload, request in ((ref, wide), (ref, narrow), (other, wide)):
        run, _ = runs.submit("sweep", workload, {**request, "workload": workload})
        runs.update(run.id, state="finished", result={"dense": {"value": 0.9}})
    dense, recovered = runs.list("sweep", ref), runs.list("sweep", other)
    assert pair(dense, recovered) == (dense[1], recovered[0])
    assert pair(dense, ()) == (dense[0], None)
    assert pair((), recovered) == (None, None)


def test_other_evaluation_examples_than_the_rounds_were_judged_on_are_told_before_anything_starts(stopped, open_screen):
    _, ref, _ = stopped
    app = open_screen("recover", ref)
    app.number_input(key=f"recover-samples-{ref}").set_value(10).run()
    go_on = next(b for b in app.button if b.label.startswith("Go on from round"))
    assert go_on.disabled
    assert "ask for the evaluation examples that its rounds were judged on, all" in texts(app)


def test_the_settings_of_a_recovery_are_shown_and_stand_in_the_form_after_a_reload(trained, started, open_screen):
    runs, ref = trained
    app = open_screen("recover", ref)
    app.number_input(key=f"recover-rate-{ref}").set_value(3e-4)
    app.number_input(key=f"recover-samples-{ref}").set_value(30)
    app.selectbox(key=f"recover-schedule-{ref}").set_value("linear").run()
    rounds = next(n for n in app.number_input if n.label == "Rounds")
    rounds.set_value(3).run()
    button(app, "Start").click().run()
    under_way(runs, ref, started[0], state="cancelled")
    again = open_screen("recover", ref)  # as a browser that knows nothing
    assert again.number_input(key=f"recover-rate-{ref}").value == 3e-4
    assert again.number_input(key=f"recover-samples-{ref}").value == 30
    assert again.selectbox(key=f"recover-schedule-{ref}").value == "linear"
    assert next(n for n in again.number_input if n.label == "Rounds").value == 3
    settings = next(table.value for table in again.table if table.value.index.name == "setting")["value"]
    assert settings["learning rate"] == "0.0003"
    assert settings["evaluation examples"] == "30"
    assert settings["rounds"] == "3"


def test_where_resume_starts_is_told_of_a_recovery_that_was_rolled_back(stopped):
    runs, ref, first = stopped
    request = {**runs.get(first).request, "start": str(runs.workspace.folder / "recoveries" / "abc" / "round-002")}
    run, _ = runs.submit("recover", ref, {**request, "start": f"{request['start']}.safetensors"})
    assert kept_text(runs.get(run.id)) == (
        "No round was finished, so Resume starts again from round 2 of the earlier recovery."
    )


def test_maps_of_several_criteria_are_drawn_by_one_of_them():
    cells = [
        CellResult(Cut("fc", "weight", 0.5, criterion), 1, 2, "measured", estimate(0.1), estimate(drop))
        for criterion, drop in (("magnitude", 0.1), ("taylor", 0.4))
    ]
    report = SensitivityReport("r", "m", SCALE, estimate(0.9), tuple(cells))
    assert criteria_of([None, report]) == ["magnitude", "taylor"]
    for criterion, drop in (("magnitude", 0.1), ("taylor", 0.4)):
        (((_, grid, _),),) = shared_grids([report], criterion)
        assert [cell.drop.value for cell in grid.cells.values()] == [drop]
