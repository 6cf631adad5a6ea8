"""Interactions on the Map screen, driven as a person would."""

import pytest

from core import pairs
from core.workload.description import Description
from tests.dashboard.conftest import map_of
from tests.dashboard.test_screens import figure, texts


def chart_labels(app):
    return [chart.proto.json for chart in app.get("bidi_component")]


@pytest.fixture
def with_pairs(workspace):
    runs, ref = workspace
    return runs, ref, pairs(ref, workspace=runs.workspace.folder)


def test_a_finished_run_over_pairs_is_a_map_with_its_summary_and_leaves_the_sweeps_alone(with_pairs, open_screen):
    runs, ref, report = with_pairs
    app = open_screen("map", ref)
    drawn = figure(app, "Interaction of every two cuts")
    assert drawn["layout"]["xaxis"]["ticktext"] == [part.cut.target for part in report.parts]
    assert f"on average over {report.summary().n} pairs, noise included" in texts(app)
    assert "would by chance alone" in texts(app)
    sweep = runs.list("sweep", ref)[0]
    assert app.query_params["run"] in (sweep.id, [sweep.id])  # the newest run is the one over pairs
    assert map_of(app, "every layer at every sparsity")
    sure = [pair for pair in report.strongest() if pair.is_sure]
    tables = [frame.value for frame in app.dataframe if "interaction" in frame.value]
    told = [pair for table in tables for pair in table["pair"]]
    assert told == [f"{pair.a.target} + {pair.b.target}" for pair in sure]  # the others are noise, and no ranking
    assert ("n = 120" if sure else "nothing to rank") in texts(app)


def test_without_one_the_screen_says_what_it_would_show_and_starts_it(workspace, started, open_screen):
    runs, ref = workspace
    app = open_screen("map", ref)
    assert "how far the drops add up" in texts(app)
    assert "All of them make 28 pairs of 8 targets." in texts(app)
    app.number_input(key="pairs-sparsity").set_value(70.0)
    next(b for b in app.button if b.label == "Measure pairs").click().run()
    assert not app.exception
    run = runs.get(started[0])
    assert (run.kind, run.request["sparsity"], run.request["heads"]) == ("pairs", 0.7, True)
    assert "measuring pairs of cuts of" in " ".join(str(bar.proto.text) for bar in app.get("progress"))


def test_too_many_pairs_are_refused_on_the_form(workspace, started, open_screen, monkeypatch):
    monkeypatch.setattr("core.sensitivity.pairs.check_n_pairs.__defaults__", (27,))
    app = open_screen("map", workspace[1])
    next(b for b in app.button if b.label == "Measure pairs").click().run()
    assert "8 targets make 28 pairs, more than 27; narrow them" in texts(app)
    assert started == []


def test_pairs_of_an_earlier_version_of_the_model_are_not_shown(with_pairs, open_screen):
    runs, ref, _ = with_pairs
    known = runs.descriptions()[ref].to_json()
    runs.remember(Description.from_json({**known, "fingerprint": "another"}))
    app = open_screen("map", ref)
    assert not any("Interaction of every two cuts" in label for label in chart_labels(app))


def test_a_failed_run_says_why_and_a_stopped_one_goes_on(workspace, started, open_screen):
    runs, ref = workspace
    run, _ = runs.submit("pairs", ref, {})
    runs.update(run.id, state="failed", error="1 target makes no pair")
    assert "The last run over pairs failed: 1 target makes no pair" in texts(open_screen("map", ref))
    runs.update(run.id, state="cancelled", error=None)
    app = open_screen("map", ref)
    next(b for b in app.button if b.label == "Resume the pairs").click().run()
    assert started == [run.id]
