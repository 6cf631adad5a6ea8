"""A frontier as a run: plan by plan, budget by budget; killed between points it ends with the same answer."""

from dataclasses import replace

import pytest
import torch

from core import sweep
from core.engines.engine import EngineUnavailable
from core.errors import SecateurError
from core.jobs.known.plan_book import PlanBook
from core.jobs.runs import RunStore
from core.jobs.submissions import frontier_submission, stairs_submission
from core.jobs.worker import execute
from core.jobs.works import frontier as works
from core.plans.costs.left import plan_cost
from core.plans.plan import SparsityPlan
from core.profiling.frontier import frontier_words as words
from core.profiling.frontier import measure
from core.profiling.frontier.request import FrontierRequest
from core.profiling.machine import this_machine
from core.profiling.stairs.report import EngineStairs, StairsReport, Width
from core.profiling.stairs.request import StairsRequest
from core.sensitivity.report import Estimate
from core.workload.loading import load_workload
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur

pytestmark = pytest.mark.model

QUICK = {"rounds": 6, "seconds": 0.01, "engine": "eager"}
NET = """
import torch
from torch import nn

from core import Examples, Workload, accuracy


def workload():
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    x = torch.randn(400, 6, generator=generator)
    return Workload("net", net, Examples(x, net(x).argmax(1)), accuracy(), batch_size=50)
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A workspace in which the channels of a net were swept, on half of its examples; and the net's file."""
    folder = tmp_path_factory.mktemp("frontier")
    (folder / "net.py").write_text(NET.lstrip())
    ref = str(folder / "net.py")
    sweep(ref, channels=True, samples=200, sparsities=(0.25, 0.5, 0.75), workspace=folder / "ws")
    return folder / "ws", ref


@pytest.fixture
def store(swept, tmp_path):
    import shutil

    shutil.copytree(swept[0], tmp_path / "ws")
    return RunStore(Workspace(tmp_path / "ws"))


def start(store, ref, **fields):
    request = FrontierRequest(**{**QUICK, "budgets": (0.8, 0.5), **fields})
    return store.submit("frontier", *frontier_submission(ref, request))[0]


def done(store, ref, **fields):
    run = execute(store, start(store, ref, **fields).id)
    assert run.state == "finished", run.error
    return store.frontier_report(run)


def test_every_point_keeps_its_budget_is_judged_on_other_examples_and_stands_in_the_plan_book(store, swept):
    report = done(store, swept[1])
    assert [(point.maker, point.budget) for point in report.points] == [
        (maker, budget) for budget in (0.8, 0.5) for maker in ("solver", "uniform", "lamp", "erk")
    ]
    assert (report.skip, report.n, report.unseen) == (200, 200, True)
    found = store.description(swept[1])[0]
    dense = plan_cost(SparsityPlan(), found, "flops").value
    workload = load_workload(swept[1])
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    book = PlanBook(store.workspace)
    for point in report.points:
        if point.plan is None:
            assert "the same plan as" in point.reason
            continue
        plan = book.get(swept[1], point.plan).plan
        assert plan == SparsityPlan.from_document(point.document)
        assert plan_cost(plan, found, "flops").value <= point.budget * dense
        assert {cut.granularity for cut in plan.cuts} == {"channel"}
        assert point.form == "shrunk"
        assert point.seconds > 0
        assert point.ratio.n == 6
        assert point.bytes > 0
        # the drop again, in plain torch: channels that go are zero, on the second half of the order
        cut = measure.Cutter(workload).made(plan)
        x, y = (tensor[order] for tensor in workload.evaluation.tensors)
        with torch.no_grad():
            right = [float((m(x[200:]).argmax(1) == y[200:]).double().mean()) for m in (workload.model, cut)]
        assert report.metric.value == pytest.approx(right[0])
        assert point.drop.value == pytest.approx(right[0] - right[1])
    assert any(point.plan for point in report.points if point.maker == "lamp")


@pytest.mark.parametrize("where", ["quality", "time"])
def test_a_run_that_is_killed_between_points_ends_with_the_plans_and_the_quality_of_one_that_was_not(
    store, swept, monkeypatch, where
):
    whole = done(store, swept[1])
    asked, module, name = [], *((works, "measured_and_noted") if where == "quality" else (works, "timed"))
    real = getattr(module, name)

    def once(*args, **kwargs):
        asked.append(1)
        if len(asked) == 2:
            raise RuntimeError("the power is gone")
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, once)
    run = start(store, swept[1])
    assert execute(store, run.id).state == "failed"
    half = store.frontier_report(store.get(run.id))
    kept = [point.drop is not None for point in half.points]
    assert any(kept)
    if where == "quality":
        assert not all(kept[i] for i, point in enumerate(half.points) if point.plan)
    else:
        assert {point.budget for point in half.points if point.seconds} == {0.8}
    # what is swept and measured meanwhile must not change what this run asks
    sweep(swept[1], channels=True, samples=300, sparsities=(0.3, 0.6), workspace=store.workspace.folder)
    store.requeue(run.id)
    again = execute(store, run.id)
    assert again.state == "finished", again.error
    report = store.frontier_report(again)
    told = [(p.maker, p.budget, p.plan, p.left, p.drop, p.metric, p.bytes, p.reason) for p in report.points]
    assert told == [(p.maker, p.budget, p.plan, p.left, p.drop, p.metric, p.bytes, p.reason) for p in whole.points]
    assert (report.skip, report.n) == (whole.skip, whole.n)
    if where == "time":
        assert [p for p in report.points if p.budget == 0.8] == [p for p in half.points if p.budget == 0.8]
        assert again.reused


def test_plans_are_fine_tuned_one_by_one_and_the_drops_after_that_are_compared(tmp_path, monkeypatch):
    other = "z = torch.randn(300, 6, generator=generator)\n    return"
    text = NET.replace("return", other).replace("=50)", "=50, training=Examples(z, net(z).argmax(1)))")
    (tmp_path / "net.py").write_text(text.lstrip())
    ref = str(tmp_path / "net.py")
    sweep(ref, channels=True, samples=200, sparsities=(0.25, 0.5), workspace=tmp_path / "ws")
    store = RunStore(Workspace(tmp_path / "ws"))
    real, asked = works.Recovery.run, []

    def once(self):
        asked.append(1)
        if len(asked) == 2:
            raise RuntimeError("the power is gone")
        return real(self)

    monkeypatch.setattr(works.Recovery, "run", once)
    run = start(store, ref, peers=(), recover=20.0)
    assert execute(store, run.id).state == "failed"
    half = store.frontier_report(store.get(run.id))
    assert [point.recovered is not None for point in half.points] == [True, False]
    assert half.quality(half.points[1]) is None  # a drop before training is not compared with one after it
    store.requeue(run.id)
    again = execute(store, run.id)
    assert again.state == "finished", again.error
    report = store.frontier_report(again)
    assert len(asked) == 3
    assert report.points[0] == half.points[0]
    for point in report.points:
        assert report.quality(point) == point.recovered
        assert point.recovered.n == point.drop.n == report.n
    harsh = report.points[-1]  # labels are the dense model's own: training brings some of them back
    assert harsh.recovered.value < harsh.drop.value
    assert "after 20 epoch(s) of fine-tuning" in words.note(report, "milliseconds")
    with pytest.raises(SecateurError, match="repair, full, would be lost"):
        FrontierRequest("eager", recover=1, repair="full")
    with pytest.raises(SecateurError, match="epochs of recovery must be"):
        FrontierRequest("eager", recover=-1)


def test_a_plan_that_the_engine_refuses_has_its_quality_and_the_reason_and_the_others_their_times(
    store, swept, monkeypatch
):
    put = measure.InTurns.put

    def refusing(self, label, *args, **kwargs):
        if label.startswith("uniform"):
            raise EngineUnavailable("it cannot hold a Widget")
        return put(self, label, *args, **kwargs)

    monkeypatch.setattr(measure.InTurns, "put", refusing)
    report = done(store, swept[1], peers=("uniform",))
    assert {point.maker for point in report.points if point.plan} == {"solver", "uniform"}
    for point in report.points:
        if point.plan is None:
            continue
        assert point.drop is not None
        is_refused = point.maker == "uniform"
        assert (point.reason, point.seconds is None) == ("it cannot hold a Widget" if is_refused else None, is_refused)
    assert all(i < 0 or report.points[i].maker == "solver" for i in report.standings("milliseconds"))


def test_an_engine_that_cannot_hold_the_dense_model_ends_the_run_with_what_was_measured(store, swept, monkeypatch):
    monkeypatch.setattr(
        measure.InTurns, "put", lambda *args, **kwargs: (_ for _ in ()).throw(EngineUnavailable("no Linear"))
    )
    run = execute(store, start(store, swept[1]).id)
    assert run.state == "failed"
    assert "cannot run the dense model (no Linear); choose another --engine" in run.error
    assert all(point.drop is not None for point in store.frontier_report(run).points if point.plan)


def test_an_engine_that_is_not_installed_is_told_before_anything_is_measured(store, swept, monkeypatch):
    monkeypatch.setattr(
        works, "installed", lambda *args: (_ for _ in ()).throw(EngineUnavailable("not installed: pip install it"))
    )
    run = execute(store, start(store, swept[1]).id)
    assert run.state == "failed"
    assert "not installed: pip install it" in run.error
    assert run.result is None


def test_budgets_that_cannot_be_met_say_what_is_the_least(store, swept):
    report = done(store, swept[1], budgets=(0.8, 0.02))
    by = {(point.maker, point.budget): point for point in report.points}
    assert "cannot be met: what was measured leaves" in by["solver", 0.02].reason
    assert "leaves" in by["uniform", 0.02].reason
    assert by["solver", 0.8].seconds > 0
    run = execute(store, start(store, swept[1], budgets=(0.01, 0.02)).id)
    assert run.state == "failed"
    assert "no budget can be met" in run.error


def test_what_was_not_swept_is_refused_with_the_mend(tmp_path, swept):
    (tmp_path / "net.py").write_text(NET.lstrip())
    store = RunStore(Workspace(tmp_path / "ws"))
    run = execute(store, start(store, str(tmp_path / "net.py")).id)
    assert "`secateur sweep" in run.error
    said = refused("frontier", tmp_path / "net.py", "--engine", "eager", "--workspace", tmp_path / "ws")
    assert "was measured in this workspace; `secateur sweep" in said


def test_milliseconds_go_by_staircases_of_the_engine_and_are_refused_without(store, swept):
    run = execute(store, start(store, swept[1], kind="milliseconds").id)
    assert run.state == "failed"
    assert f"`secateur profile {swept[1]} --widths --engines eager` measures them" in run.error


def test_staircases_of_another_batch_or_machine_are_not_taken_for_this_one(store, swept, monkeypatch):
    wide = StairsRequest(("eager",), batch=8, rounds=6, seconds=0.01)
    assert execute(store, store.submit("stairs", *stairs_submission(swept[1], wide))[0].id).state == "finished"
    run = execute(store, start(store, swept[1], kind="milliseconds", peers=()).id)
    assert run.state == "failed"
    assert f"the staircases are of eager {torch.__version__}, batch 8, 1 thread, on " in run.error
    assert f"`secateur profile {swept[1]} --widths --engines eager --batch 1 --threads 1` measures those" in run.error
    same = execute(store, start(store, swept[1], kind="milliseconds", peers=(), batch=8).id)
    assert same.state == "finished" or "no budget can be met" in same.error
    monkeypatch.setattr(works, "this_machine", lambda device: replace(this_machine(device), cpu="Another"))
    run = execute(store, start(store, swept[1], kind="milliseconds", peers=(), batch=8).id)
    assert "the staircases are of eager" in run.error


def plant_stairs(store, ref):
    """Staircases of eager torch with treads of four channels, as if they had been measured here."""
    n_of = {"0": (16, 0.5), "2": (12, 0.3)}
    ratios = {
        (name, n, w): 1 - share * (1 - 4 * -(-w // 4) / n) for name, (n, share) in n_of.items() for w in range(1, n)
    }
    widths = tuple(Width(name, "channel", n, w, Estimate(x, x, x, 9)) for (name, n, w), x in ratios.items())
    engine = EngineStairs("eager", torch.__version__, None, 1e-3, widths, (), True)
    report = StairsReport(ref, this_machine(torch.device("cpu")), 1, 1, (engine,))
    result = {**report.to_json(), "model": store.description(ref)[0].fingerprint}
    store.note_finished("stairs", *stairs_submission(ref, StairsRequest(("eager",))), result, 0.0)


def widths_left(store, ref, report, makers):
    n_of = {one.name: one.n_units for one in store.description(ref)[0].channel_targets}
    plans = [SparsityPlan.from_document(p.document) for p in report.points if p.document and p.maker in makers]
    return [round(n_of[cut.target] * (1 - cut.sparsity)) for plan in plans for cut in plan.cuts]


def test_plans_for_milliseconds_leave_widths_at_which_measured_steps_end_those_of_peers_too(store, swept):
    plant_stairs(store, swept[1])
    report = done(store, swept[1], kind="milliseconds", budgets=(0.85, 0.6))
    assert {point.maker for point in report.points if point.plan} >= {"solver", "uniform"}
    for point in report.points:
        assert point.left is None or point.left <= point.budget
    for makers in (("solver",), ("uniform", "lamp", "erk")):
        left = widths_left(store, swept[1], report, makers)
        assert left
        assert not [width for width in left if width % 4], makers
    other = done(store, swept[1], kind="milliseconds", budgets=(0.85, 0.6), align=1, peers=("uniform", "lamp"))
    assert [width for width in widths_left(store, swept[1], other, ("uniform", "lamp")) if width % 4]


def test_any_cost_takes_measured_steps_or_multiples_where_they_are_asked_for(store, swept):
    words = ("frontier", swept[1], "--engine", "eager", "--workspace", store.workspace.folder)
    assert "--align auto takes steps that were measured" in refused(*words, "--align", "auto")
    assert "no staircase of net as it is now was measured in eager" in refused(*words, "--cost", "milliseconds")
    assert "a whole number of at least 1" in refused(*words, "--align", 0)
    plant_stairs(store, swept[1])
    for align in ("auto", 4):
        report = done(store, swept[1], align=align)
        assert not [width for width in widths_left(store, swept[1], report, ("solver", "uniform", "lamp")) if width % 4]
    run = execute(store, start(store, swept[1], align="auto", batch=8).id)
    assert "the staircases are of eager" in run.error
    older = dict(frontier_submission(swept[1], FrontierRequest("eager"))[1]["frontier"])
    assert "align" not in older  # a frontier of an older build is the same request
    assert FrontierRequest.from_json(older) == FrontierRequest("eager")


def test_times_of_another_machine_are_measured_again_and_the_quality_is_not(store, swept, monkeypatch):
    real, asked = works.timed, []

    def once(*args, **kwargs):
        asked.append(1)
        if len(asked) == 2:
            raise RuntimeError("the power is gone")
        return real(*args, **kwargs)

    monkeypatch.setattr(works, "timed", once)
    run = start(store, swept[1], peers=())
    assert execute(store, run.id).state == "failed"
    half = store.frontier_report(store.get(run.id))
    monkeypatch.setattr(works, "this_machine", lambda device: replace(this_machine(device), cpu="Another"))
    store.requeue(run.id)
    report = store.frontier_report(execute(store, run.id))
    assert len(asked) == 4  # both budgets there
    assert report.machine.cpu == "Another"
    assert [point.drop for point in report.points] == [point.drop for point in half.points]


def test_peers_share_out_weights_or_channels_and_refuse_by_name_what_they_cannot(store, swept):
    report = done(store, swept[1], kind="bytes", peers=("lamp", "erk"))
    assert all(point.form == "masked" for point in report.points if point.plan)
    found = store.description(swept[1])[0]
    dense = plan_cost(SparsityPlan(), found, "bytes").value
    for point in report.points:
        if point.plan:
            plan = SparsityPlan.from_document(point.document)
            assert plan_cost(plan, found, "bytes").value <= point.budget * dense
    mixed = done(store, swept[1], granularities=("weight", "channel"), peers=("erk",))
    erk = [point for point in mixed.points if point.maker == "erk"]
    assert all(
        "erk shares out either weights or channels, and the solver cuts channel and weight" in p.reason for p in erk
    )


@pytest.mark.process
def test_the_command_shows_a_table_writes_csv_and_refuses(store, swept, tmp_path, monkeypatch):
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(store.workspace.folder))
    words = ("frontier", swept[1], "--engine", "eager", "--budgets", "0.8,0.5", "--rounds", 6, "--seconds", 0.01)
    document = document_of(*words, "--out", tmp_path / "f.csv")
    assert len(document["report"]["points"]) == 8
    assert len((tmp_path / "f.csv").read_text().splitlines()) == 10
    said = secateur("show", document["run"]["id"]).stdout
    for point in document["report"]["points"]:
        assert (point["plan"] or "the same plan as") in said
    assert "that nothing was chosen by" in said
    assert "takes from 2 to 50 budgets, got 1" in refused(*words[:4], "--budgets", 1)
    assert "expected a number of budgets such as 6" in refused(*words[:4], "--budgets", "few")
    assert "give eager=PATH" in refused(*words[:4], "--python", "onnx=/usr/bin/python3")
    assert "--detach does not wait" in refused(*words[:4], "--out", "x.csv", "--detach")
    with pytest.raises(SecateurError, match="no engine"):
        FrontierRequest("tvm")
