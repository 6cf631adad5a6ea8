"""A run's name, note and star on the screen where the run is chosen."""

import pytest

pytestmark = pytest.mark.model


def test_a_name_typed_beside_the_run_stands_first_in_the_list_and_is_kept(workspace, open_screen):
    runs, ref = workspace
    (run,) = runs.list("sweep", ref)
    app = open_screen("map", ref)
    app.text_input(key=f"run-name-{run.id}-None").input("before the fix").run()
    app.checkbox(key=f"run-star-{run.id}-False").check().run()
    assert not app.exception
    kept = runs.get(run.id)
    assert (kept.name, kept.star) == ("before the fix", True)
    (box,) = [box for box in app.selectbox if box.label == "Run"]
    assert box.options[0].startswith("★ before the fix · ")


def test_a_name_that_is_taken_is_refused_on_the_screen_and_the_old_one_stays(workspace, open_screen):
    runs, ref = workspace
    (run,) = runs.list("sweep", ref)
    other, _ = runs.submit("measure", ref, {})
    runs.update(other.id, state="finished", name="taken")
    app = open_screen("map", ref)
    app.text_input(key=f"run-name-{run.id}-None").input("taken").run()
    assert any("is called 'taken' already" in error.value for error in app.error)
    assert runs.get(run.id).name is None


def test_the_map_screen_offers_the_page_and_the_table_of_its_run(workspace, open_screen):
    app = open_screen("map", workspace[1])
    assert {"Report", "CSV", "Parquet", "JSON"} <= {button.label for button in app.get("download_button")}
