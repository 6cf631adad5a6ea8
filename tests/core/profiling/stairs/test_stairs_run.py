"""Milliseconds against width as a run: real surgery, a double in place of the clock, kept handful by handful."""

from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import pytest

from core.engines.engine import EngineUnavailable
from core.errors import SecateurError
from core.jobs.known.findings import engine_time_of, saved_time_of
from core.jobs.runs import RunStore
from core.jobs.submissions import stairs_submission
from core.jobs.worker import execute
from core.plans.costs.left import plan_cost
from core.plans.plan import Cut, SparsityPlan
from core.profiling.stairs import measure
from core.profiling.stairs.request import StairsRequest
from core.workspace import Workspace

pytestmark = pytest.mark.model
BLOCKS = 1e-3, 1e-4  # seconds of anything, and of a block of 4 × 4 channels


class Clock:
    """In place of `InTurns`: an engine that works in blocks of four channels, on the model that surgery really made."""

    dies_at: int | None = None
    puts: ClassVar[list[int]] = []
    adapter = SimpleNamespace(title="A clock")

    def __init__(self, name, folder, threads, python, check):
        self._models = {}

    def version(self):
        return "1.0"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def put(self, label, model, precision="float32", is_base=False):
        shapes = [tuple(w.shape[:2]) for w in model.source.model.parameters() if w.dim() == 2]
        Clock.puts.append(shapes[0][0])
        if shapes[0][0] == Clock.dies_at:
            raise EngineUnavailable("its process died (SIGSEGV)")
        blocks = sum(-(-a // 4) * -(-b // 4) for a, b in shapes)
        self._models[label] = BLOCKS[0] + BLOCKS[1] * blocks

    def times(self, rounds, seconds):
        return {label: [one] * rounds for label, one in self._models.items()}, {}


TWO_LAYERS = """
import torch
from torch import nn
from core import Examples, Workload, accuracy

def workload():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4))
    x = torch.randn(12, 4)
    return Workload("two", model, Examples(x, x.argmax(1)), accuracy())
"""


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(Clock, "puts", [])
    monkeypatch.setattr(Clock, "dies_at", None)
    monkeypatch.setattr(measure, "InTurns", Clock)
    monkeypatch.setattr("core.jobs.works.profiling.installed", lambda adapter, python: "1.0")
    return Clock


@pytest.fixture
def runs(tmp_path):
    return RunStore(Workspace(tmp_path / "ws"))


@pytest.fixture
def model(write_file):
    return str(write_file("two.py", TWO_LAYERS))


def started(runs, model, *engines):
    return runs.submit("stairs", *stairs_submission(model, StairsRequest(engines or ("onnx",), rounds=6)))[0]


def found_of(runs, run):
    return runs.description(run.workload)[0]


def test_a_group_shows_the_steps_of_the_engine(runs, model, clock):
    done = execute(runs, started(runs, model).id)
    assert done.state == "finished", done.error
    (engine,) = runs.stairs_report(done).engines
    assert (engine.finished, engine.reason, engine.version) == (True, None, "1.0")
    assert engine.seconds == pytest.approx(2.9e-3)  # 1 + 3 of 4 x 4 + 12 x 16 + 4 x 12 in blocks of 4 x 4: 4 + 12 + 3
    ratios = {(one.target, one.width): one.ratio.value for one in engine.widths}
    assert {width for target, width in ratios if target == "0"} == {4, 5, 8, 9, 10, 12, 14, 15}
    assert ratios["0", 8] == pytest.approx((1 + 0.1 * (2 + 6 + 3)) / 2.9)
    assert ratios["0", 9] == ratios["0", 10] == ratios["0", 12] == pytest.approx((1 + 0.1 * (3 + 9 + 3)) / 2.9)
    assert ratios["2", 11] == ratios["2", 10] == pytest.approx(1.0)
    channels, heads = engine.stairs()
    assert heads == {}
    assert channels["0"].ends() == (4, 8, 12, 16)
    assert channels["2"].ends() == (4, 8, 12)


def test_two_groups_that_meet_in_a_layer_are_multiplied_there_and_not_added_up(runs, model, clock):
    done = execute(runs, started(runs, model).id)
    saved = saved_time_of(runs, found_of(runs, done), "onnx")
    plan = SparsityPlan((Cut("0", "channel", 0.5), Cut("2", "channel", 4 / 12)))
    cost = plan_cost(plan, found_of(runs, done), "milliseconds", saved)
    assert cost.value == pytest.approx(1 + 0.1 * (2 + 4 + 2), rel=1e-3)  # 8 x 4, 8 x 8, 4 x 8; added up it were 1.6
    assert cost.unmeasured == ()
    assert cost.low <= cost.value <= cost.high
    assert plan_cost(SparsityPlan(), found_of(runs, done), "milliseconds", saved).value == pytest.approx(2.9)


def test_one_width_that_the_engine_dies_of_says_so_and_the_others_stay(runs, model, clock, monkeypatch):
    monkeypatch.setattr(clock, "dies_at", 9)
    done = execute(runs, started(runs, model).id)
    (engine,) = runs.stairs_report(done).engines
    dead = [one for one in engine.widths if one.ratio is None]
    assert [(one.target, one.width, one.reason) for one in dead] == [("0", 9, "its process died (SIGSEGV)")]
    assert engine.finished
    assert 9 not in engine.stairs()[0]["0"].widths


@pytest.mark.parametrize(("deaths", "lost"), [((2,), False), ((2, 3), True)])
def test_a_dense_model_that_dies_on_the_way_costs_one_handful_at_most(runs, model, clock, monkeypatch, deaths, lost):
    put, dense = Clock.put, []

    def dying(self, label, *rest, **more):
        if more.get("is_base") or (len(rest) > 2 and rest[2]):
            dense.append(label)
            if len(dense) in deaths:
                raise EngineUnavailable("its process died (SIGSEGV)")
        put(self, label, *rest, **more)

    monkeypatch.setattr(Clock, "put", dying)
    (engine,) = runs.stairs_report(execute(runs, started(runs, model).id)).engines
    assert (engine.reason, engine.finished) == (None, True)
    reasons = [one.reason for one in engine.widths]
    assert ("its process died (SIGSEGV)" in reasons) == lost
    assert None in reasons


def test_one_width_that_cannot_be_made_says_so_and_the_others_stay(runs, model, clock, monkeypatch):
    made = measure.Narrowed.model

    def narrowed(self, plan):
        if plan.cuts[0].sparsity == 0.5 and len(plan.cuts) == 1:
            raise SecateurError("that cannot be taken apart")
        return made(self, plan)

    monkeypatch.setattr(measure.Narrowed, "model", narrowed)
    done = execute(runs, started(runs, model).id)
    assert done.state == "finished", done.error
    (engine,) = runs.stairs_report(done).engines
    dead = {one.target: one.reason for one in engine.widths if one.ratio is None}
    assert dead["0"] == "that cannot be taken apart"
    assert len(engine.widths) > len(dead)


def test_a_run_that_was_killed_measures_only_what_it_has_not(runs, model, clock, monkeypatch):
    run = started(runs, model, "onnx", "ncnn")
    whole, calls = measure.timed, []

    def until_the_power_is_gone(*args):
        calls.append(args[1])
        if len(calls) == 2:
            raise RuntimeError("the power is gone")
        return whole(*args)

    monkeypatch.setattr(measure, "timed", until_the_power_is_gone)
    assert execute(runs, run.id).state == "failed"
    (begun,) = runs.stairs_report(runs.get(run.id)).engines
    assert 0 < len(begun.widths) < 15
    assert not begun.finished
    assert engine_time_of(runs, found_of(runs, run), "onnx") is None
    runs.requeue(run.id)
    clock.puts.clear()
    done = execute(runs, run.id)
    assert (done.state, done.reused, done.done, done.total) == ("finished", len(begun.widths), done.total, done.total)
    assert [one.engine for one in runs.stairs_report(done).engines] == ["onnx", "ncnn"]
    assert all(one in runs.stairs_report(done).of("onnx").widths for one in begun.widths)


def test_what_was_begun_on_another_machine_is_measured_again(runs, model, clock, monkeypatch):
    run = started(runs, model, "onnx")
    whole, calls = measure.timed, []

    def until_the_power_is_gone(*args):
        calls.append(args[1])
        if len(calls) == 2:
            raise RuntimeError("the power is gone")
        return whole(*args)

    monkeypatch.setattr(measure, "timed", until_the_power_is_gone)
    assert execute(runs, run.id).state == "failed"
    elsewhere = replace(runs.stairs_report(runs.get(run.id)).machine, cpu="Another")
    monkeypatch.setattr("core.jobs.works.profiling.this_machine", lambda device: elsewhere)
    runs.requeue(run.id)
    done = execute(runs, run.id)
    assert (done.state, done.reused) == ("finished", 0)
    assert runs.stairs_report(done).machine == elsewhere


def test_what_was_not_measured_in_an_engine_is_refused_with_the_command(runs, model, clock):
    done = execute(runs, started(runs, model).id)
    with pytest.raises(Exception, match=r"no staircase of two as it is now was measured in litert; `secateur profile"):
        saved_time_of(runs, found_of(runs, done), "litert")
