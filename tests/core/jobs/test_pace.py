"""What measuring a plan should take, from what it took before."""

from dataclasses import asdict

import pytest

from core.jobs.pace import pace_of
from core.jobs.run import NEEDED
from core.jobs.runs import RunStore
from core.sensitivity.report import Estimate
from core.workspace import Workspace


@pytest.fixture
def runs(tmp_path):
    return RunStore(Workspace(tmp_path / "ws"))


def timed(runs, n, seconds, **asked):
    run, _ = runs.submit("measure", "m", {"n": n, "seconds": seconds, **asked})
    result = {**dict.fromkeys(NEEDED["measure"]), "dense": asdict(Estimate(0.9, 0.8, 1.0, n))}
    started = run.created + 0.5
    runs.update(run.id, state="finished", started=started, ended=started + seconds, result=result)


def test_before_anything_was_timed_nobody_knows(runs):
    assert pace_of(runs, "m") is None
    timed(runs, 100, 4.0, form="shrunk")  # a smaller model has to be made first: another time
    assert pace_of(runs, "m") is None


def test_a_sweep_tells_by_its_full_passes_until_a_plan_was_measured(runs):
    run, _ = runs.submit("sweep", "m", {})
    cost = {"n_cells": 10, "n_examples": 100, "n_total": 1, "n_known": 0, "seconds": 3.0, "full_seconds": 50.0}
    runs.update(run.id, state="finished", result={"cost": cost})
    assert pace_of(runs, "m").seconds(1000) == pytest.approx(100.0)  # two passes of 0.05 s an example
    timed(runs, 100, 4.0)
    pace = pace_of(runs, "m")
    assert pace.seconds(1000) == pytest.approx(40.0)
    assert pace.source == "the plan that was measured last: 4.0 s on 100 examples"


def test_of_two_numbers_of_examples_a_start_and_a_pace_are_told_apart(runs):
    timed(runs, 100, 4.0)
    timed(runs, 1000, 13.0)
    pace = pace_of(runs, "m")
    assert (pace.start, pace.per_example) == pytest.approx((3.0, 0.01))
    timed(runs, 2000, 12.0)  # faster for more: the machine had other things to do, and no line is drawn
    assert pace_of(runs, "m").seconds(1000) == pytest.approx(6.0)


def test_what_was_measured_on_the_way_of_a_longer_run_is_no_time_of_its_own(runs):
    runs.note_finished("measure", "m", {}, {"dense": asdict(Estimate(0.9, 0.8, 1.0, 100))}, 1.0)
    assert pace_of(runs, "m") is None
