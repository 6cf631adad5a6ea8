"""Where a sweep is measured: chosen in its form, told before it begins and beside its map. No Ray but for its name."""

import importlib.util
import json
from importlib.machinery import ModuleSpec

import pytest

from core.jobs.run_words import run_label
from tests.dashboard.test_screens import texts


@pytest.fixture
def has_ray(monkeypatch):
    """A machine where Ray can be found; whoever imported it here would fail."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *of: ModuleSpec("ray", None) if name == "ray" else found(name, *of)
    )


@pytest.fixture
def no_ray(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *of: None if name == "ray" else found(name, *of))


@pytest.mark.usefixtures("no_ray")
def test_without_ray_one_line_says_how_to_get_it_and_a_sweep_asks_for_none(trained, started, open_screen):
    runs, ref = trained
    app = open_screen("map", ref)
    assert "pip install 'secateur[ray]'" in texts(app)
    assert not [box for box in app.selectbox if box.key == "place"]
    app.button(key="measure-sweep").click().run()
    assert "ray" not in runs.list("sweep", ref)[0].request


@pytest.mark.usefixtures("has_ray")
@pytest.mark.parametrize(
    ("place", "address", "asked"),
    [("here", None, None), ("local", None, "local"), ("cluster", "10.0.0.7:6379", "10.0.0.7:6379")],
)
def test_the_chosen_place_is_asked_for_and_the_next_form_begins_with_it(
    trained, started, open_screen, place, address, asked
):
    runs, ref = trained
    app = open_screen("map", ref)
    app.selectbox(key="place").set_value(place).run()
    if address is not None:
        assert app.text_input(key="ray-address").value == "auto"
        app.text_input(key="ray-address").set_value(address).run()
    app.button(key="measure-sweep").click().run()
    (run,) = runs.list("sweep", ref)
    assert run.request.get("ray") == asked
    runs.update(run.id, state="cancelled")
    again = open_screen("map", ref)
    assert again.selectbox(key="place").value == place
    if address is not None:
        assert again.text_input(key="ray-address").value == address


@pytest.mark.usefixtures("has_ray")
def test_an_address_that_is_none_is_refused_before_anything_starts(trained, started, open_screen):
    app = open_screen("map", trained[1])
    app.selectbox(key="place").set_value("cluster").run()
    app.text_input(key="ray-address").set_value("cluster 7").run()
    assert app.button(key="measure-sweep").disabled
    assert "expected local, auto or HOST:PORT as the address of Ray" in texts(app)


@pytest.mark.usefixtures("has_ray")
def test_a_run_says_where_it_was_measured_and_an_estimate_of_another_place_says_so(workspace, open_screen):
    runs, ref = workspace
    run = runs.list("sweep", ref)[0]
    cost = {"seconds": 10.0, "n_known": 0, "n_total": 10, "n_cells": 9, "n_examples": 100}
    asked = {**run.request, "ray": "10.0.0.7:6379"}
    runs.update(run.id, request=json.dumps(asked), result={**run.result, "cost": cost})
    assert "on Ray at 10.0.0.7:6379" in run_label(runs.get(run.id))
    app = open_screen("map", ref)
    assert "Measured on Ray at 10.0.0.7:6379" in texts(app)
    app.selectbox(key="place").set_value("here").run()
    assert "That sweep ran on Ray at 10.0.0.7:6379, this one in a process of its own." in texts(app)
