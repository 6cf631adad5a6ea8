"""The network above the maps: offered, drawn by a worker, chosen from, cut in."""

import json

import pytest

from core.jobs.worker import execute
from core.plans.plan import Cut
from dashboard.graph.data import names_of

pytestmark = pytest.mark.model


def network_data(app):
    (found,) = [data for chart in app.get("bidi_component") if "boxes" in (data := json.loads(chart.proto.json))]
    return found


def draw(runs, ref):
    run, _ = runs.submit("graph", ref, {})
    assert execute(runs, run.id).state == "finished"


def test_a_network_that_was_not_drawn_yet_is_offered_and_drawn_by_a_worker(workspace, started, open_screen):
    runs, ref = workspace
    app = open_screen("map", ref)
    assert not [button for button in app.button if button.label == "Draw the network"]
    app.toggle(key="network-shown").set_value(True).run()
    (button,) = [button for button in app.button if button.label == "Draw the network"]
    button.click().run()
    assert not app.exception
    assert [runs.get(run_id).kind for run_id in started] == ["graph"]


def test_every_layer_that_was_swept_is_in_the_network_with_its_limit(workspace, open_screen):
    runs, ref = workspace
    draw(runs, ref)
    app = open_screen("map", ref)
    app.toggle(key="network-shown").set_value(True).run()
    assert not app.exception
    data = network_data(app)
    named = {name for box in data["boxes"] for name in box["names"]}
    for target in ("layer.linear1", "layer.linear2", "fc"):
        assert set(names_of("weight", target)) <= named
    assert any(box["fill"] for box in data["boxes"])
    assert data["script"].startswith("assets/")


def test_a_click_on_a_box_chooses_its_cell_and_c_cuts_there(workspace, open_screen):
    runs, ref = workspace
    draw(runs, ref)
    app = open_screen("map", ref)
    app.toggle(key="network-shown").set_value(True).run()
    (box,) = [box for box in network_data(app)["boxes"] if "fc" in box["names"]]
    app.session_state["network"] = {"hit": {"box": box["id"], "act": "cut"}}
    app.run()
    assert not app.exception
    chosen = app.session_state["chosen_cut"]
    assert (chosen.target, chosen.granularity) == ("fc", "weight")
    assert runs.draft(ref).cuts == (chosen,)
    assert isinstance(chosen, Cut)
