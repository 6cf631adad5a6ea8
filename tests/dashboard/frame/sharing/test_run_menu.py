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


def test_markup_in_names_is_text_in_lists_titles_and_lines(workspace, open_screen):
    runs, ref = workspace
    (run,) = runs.list("sweep", ref)
    other, _ = runs.submit("sweep", ref, {**run.request, "seed": 5})
    runs.set_cells(other.id, runs.report(run).cells)
    runs.update(other.id, state="finished", result=run.result, name="**a** $b$ [c](d)")
    app = open_screen("map", ref)
    (box,) = [box for box in app.selectbox if box.label == "Run"]
    box.select_index(1).run()
    (beside,) = [box for box in app.selectbox if box.label == "Beside another run"]
    beside.select_index(1).run()
    assert not app.exception
    assert any("**a** $b$ [c](d)" in option for option in box.options)  # a list shows its options as they are
    told = [element.value for kind in ("markdown", "caption") for element in app.get(kind)]
    assert not [text for text in told if "**a** $b$" in text]
    assert [text for text in told if r"\*\*a\*\* \$b\$ \[c\]\(d\)" in text]


def test_letters_that_cannot_be_shown_are_refused_on_the_screen_and_the_old_note_stays(workspace, open_screen):
    runs, ref = workspace
    (run,) = runs.list("sweep", ref)
    app = open_screen("map", ref)
    (note,) = [area for area in app.text_area if area.label == "Note"]
    note.input("x" * 10_000).run()
    assert any("at most 2,000 letters" in error.value for error in app.error)
    assert runs.get(run.id).note is None
