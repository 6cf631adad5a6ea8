"""What is shown stands in the address, and a link shows it again."""

import json

import pytest

from core import Cut
from core.sensitivity.report import CellResult
from dashboard.frame.sharing import address
from tests.dashboard.conftest import map_of

CELLS = [CellResult(Cut("a~b", "weight", 0.5), 1, 2), CellResult(Cut("attn:1", "head"), 1, 2)]


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_found_again_by_what_the_address_says_of_it(cell):
    assert address.cell_named(address.cell_text(cell.cut), CELLS) is cell


@pytest.mark.parametrize("text", ["", "nonsense", "weight~a~0.5~magnitude", "~~~"])
def test_what_is_no_cell_of_the_map_is_none(text):
    assert address.cell_named(text, CELLS) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("2.5", 2.5), ("0.001", 0.001), ("0", None), ("-1", None), ("nan", None), ("inf", None), ("x", None)],
)
def test_a_tolerance_is_a_number_that_its_field_takes(text, value):
    assert address.tolerance_named(text, 0.001) == value


@pytest.mark.model
def test_a_link_shows_the_same_cell_tolerance_filter_and_kinds(workspace, open_screen):
    runs, ref = workspace
    (run,) = runs.list("sweep", ref)
    app = open_screen("map", ref)
    app.query_params.update(
        run=run.id, cell="weight~fc~0.9~magnitude", tolerance="3.5", filter="fc|attn", kinds="weight",
        rows="drop~50~turned",
    )  # fmt: skip
    app.run()
    assert not app.exception
    told = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    assert "drop~50~turned" in [one["how"]["text"] for one in told if "how" in one]
    assert app.session_state["chosen_cut"] == Cut("fc", "weight", 0.9)
    assert app.number_input(key=f"tolerance-{ref}").value == 3.5
    assert app.text_input(key="filter").value == "fc|attn"
    app.number_input(key=f"tolerance-{ref}").set_value(2.0).run()
    assert app.query_params["tolerance"] == "2"
    assert app.query_params["cell"] == "weight~fc~0.9~magnitude"
    assert app.query_params["rows"] == "drop~50~turned"
    app.text_input(key="filter").set_value("").run()
    assert "filter" not in app.query_params


@pytest.mark.model
def test_what_a_link_asks_for_and_cannot_be_is_told_in_a_line_and_passed_over(workspace, open_screen):
    app = open_screen("map", workspace[1])
    app.query_params.update(
        cell="weight~nope~0.5~magnitude", tolerance="much", filter="(", kinds="wings", beside="beef"
    )
    app.run()
    assert not app.exception
    assert len([one for one in app.warning if one.value.startswith("The address asks for")]) == 5
    assert not {"cell", "tolerance", "filter", "kinds", "beside"} & set(app.query_params)
    app.run()  # a run ended, and the screen is drawn again: nobody has read them yet
    assert len([one for one in app.warning if one.value.startswith("The address asks for")]) == 5
    app.text_input(key="filter").set_value("fc").run()
    assert not [one for one in app.warning if one.value.startswith("The address asks for")]


@pytest.mark.process
def test_a_run_that_is_not_here_is_told_of_until_another_is_chosen(workspace, open_screen):
    runs, ref = workspace
    other, _ = runs.submit("sweep", "tiny-gpt", {})
    app = open_screen("map", ref)
    written = app.query_params["run"]
    for asked, where in (("nope", "is not in this workspace"), (other.id, "is of the model tiny-gpt")):
        app.query_params["run"] = asked
        app.run()
        said = f"The address asks for run “{asked}”, which {where}; another is shown."
        assert [one.value for one in app.warning if "asks for run" in one.value] == [said]
        assert app.query_params["run"] == written
        assert map_of(app, "every layer")
        app.run()
        assert said in [one.value for one in app.warning]
    app.selectbox(key="model").set_value("tiny-gpt").run()  # the address still names the run of the model before
    assert not [one for one in app.warning if "asks for run" in one.value]


@pytest.mark.model
def test_a_run_that_is_not_here_is_told_of_beside_an_empty_map_too(fresh, started, open_screen):
    app = open_screen("map", fresh[1])
    app.query_params.update(run="nope", cell="[fc](http://x)")
    app.run()
    assert [one.value for one in app.warning] == [
        "The address asks for run “nope”, which is not in this workspace; none is shown.",
        "The address asks for cell “\\[fc\\]\\(http\\://x\\)”, and no map of this model was measured here yet.",
    ]
