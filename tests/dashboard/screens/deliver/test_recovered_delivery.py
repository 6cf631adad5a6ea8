"""A recovered model is delivered from the screen: exported as it is, beside the dense one, and verified again."""

import pytest

from core import FineTuning
from core.jobs.known.kept_rounds import recovered_path
from core.jobs.launch import start_recover
from core.jobs.worker import execute
from core.numbers import bytes_text
from core.plans.schedules import Schedule
from core.recovery.request import RecoverRequest
from dashboard.screens.deliver.export_panel import AS_IT_IS
from tests.dashboard.conftest import read_table
from tests.dashboard.screens.tune.test_plans import button, texts


@pytest.fixture
def recovered(trained, started):
    """Runs, reference and the id of a recovery of one round that is done."""
    runs, ref = trained
    run, _ = start_recover(runs, RecoverRequest(ref, Schedule("one_shot", 0.0, 0.5, 1), FineTuning(steps=2)))
    assert execute(runs, run.id).state == "finished", runs.get(run.id).error
    return runs, ref, run.id


@pytest.mark.process
def test_a_recovered_model_is_exported_listed_and_verified(recovered, started, open_screen):
    runs, ref, recovery = recovered
    app = open_screen("deliver", ref)
    choice = app.selectbox(key=f"plan-{ref}")
    assert len(choice.options) == 1
    assert choice.options[0].startswith(f"recovered in run {recovery}, round 1: 50 % gone, accuracy ")
    assert AS_IT_IS in texts(app)
    assert not [control for control in app.segmented_control if str(control.key).startswith("form-")]
    app.checkbox(key="format-masked-int8").set_value(True).run()
    button(app, "Export").click().run()
    export = runs.get(started[-1])
    assert export.workload == str(recovered_path(runs, runs.get(recovery), 1))
    assert (export.request["plan"]["cuts"], export.request["formats"]) == ([], ["safetensors", "int8"])
    assert execute(runs, export.id).state == "finished", runs.get(export.id).error

    app = open_screen("deliver", ref)
    row = read_table(app, "bytes on disk").set_index("model").loc[f"recovered in run {recovery}, round 1: 50 % gone"]
    by_name = {one["name"]: one for one in runs.get(export.id).result["manifest"]["variants"]}
    assert row["bytes on disk"] == bytes_text(by_name["recovered"]["bytes"])
    assert "n = " in row["milliseconds"]
    assert " × [" in row["times as fast"]
    said = texts(app)
    assert "\nas it is  \ndense " in said
    for name in ("dense", "pruned, not trained", "recovered", "int8"):
        assert f"\n{name} " in said
    assert "earlier version of the model" not in said  # the file is another model's than the one on the screen
    app = open_screen("deliver", ref)
    app.button(key=f"verify-{export.id}").click().run()
    assert execute(runs, started[-1]).state == "finished", runs.get(started[-1]).error
    assert "Verified again" in open_screen("deliver", ref).success[0].value


def test_a_round_whose_checkpoint_is_gone_is_not_offered(recovered, open_screen):
    runs, ref, _ = recovered
    for path in runs.workspace.folder.rglob("round-*.safetensors"):
        path.unlink()
    app = open_screen("deliver", ref)
    assert not [box for box in app.selectbox if box.key == f"plan-{ref}"]
    assert "There is no plan yet" in texts(app)
