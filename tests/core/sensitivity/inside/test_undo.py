"""The map inside a plan, beside plain torch: what giving back a row gains, where the damage starts."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

import core
from core import Cut, Examples, SecateurError, SparsityPlan, Workload, accuracy
from core.jobs.runs import RunStore
from core.jobs.submissions import sweep_submission
from core.jobs.worker import execute
from core.jobs.works import measuring
from core.jobs.works import undo as undo_work
from core.sensitivity.inside.around import AroundMeasurement
from core.sensitivity.inside.around_sweep import AroundSweep
from core.sensitivity.inside.damage import damage_of
from core.sensitivity.inside.request import UndoRequest
from core.sensitivity.inside.rows import neighbours
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.statistics.intervals import drop_estimate
from core.workload.metrics.dense_metrics import kl_from_dense
from core.workspace import Workspace

pytestmark = pytest.mark.model
ROWS = {"0": 0.6, "2": 0.6, "4": 0.5}
PLAN = SparsityPlan(tuple(Cut(name, "weight", sparsity) for name, sparsity in ROWS.items()))


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 4))


@pytest.fixture
def made():
    model = net()
    x = torch.randn(3000, 8, generator=torch.Generator().manual_seed(1))
    return Workload("net", model, Examples(x, model(x).argmax(1)), accuracy(), batch_size=500)


def pruned(model, rows):
    """By hand: the smallest entries of each layer are zeroed on a copy."""
    clone = copy.deepcopy(model)
    for name, sparsity in rows.items():
        weight = clone.get_submodule(name).weight.data
        least = weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]
        weight.view(-1)[least] = 0
    return clone


def correct(workload, rows):
    """Of the examples that are not set aside: the first four fifths of the order of seed 0."""
    order = torch.randperm(3000, generator=torch.Generator().manual_seed(0))[:2400]
    with torch.no_grad():
        found = pruned(workload.model, rows)(workload.evaluation.inputs[0]).argmax(1)
    return (found == workload.evaluation.labels).double().numpy()[order]


def test_a_row_given_back_is_worth_what_plain_torch_says(made, tmp_path):
    report = core.undo(made, PLAN, workspace=tmp_path, samples="all")
    plan = correct(made, ROWS)
    assert report.drop.value == pytest.approx(1 - plan.mean())
    for row in report.rows:
        name = row.cut.target
        without = correct(made, {other: s for other, s in ROWS.items() if other != name})
        assert row.back.change == drop_estimate(made.metric.scale, without, plan)
        assert row.back.drop.value == pytest.approx(1 - without.mean())
        further = correct(made, {**ROWS, name: row.step.sparsity})
        assert row.further.change == drop_estimate(made.metric.scale, plan, further)
    assert [row.step.sparsity for row in report.rows] == [0.7, 0.7, 0.6]
    assert report.rows[0].costs["nonzeros"] == pytest.approx(round(0.6 * 128) / (128 + 192 + 48))


def test_the_first_rows_together_are_measured_and_not_added_up(made, tmp_path):
    report = core.undo(made, PLAN, workspace=tmp_path, samples="all", damage=False)
    assert report.together, "some two rows surely gain"
    for one in report.together:
        names = {cut.target for cut in one.rows}
        without = correct(made, {name: s for name, s in ROWS.items() if name not in names})
        assert one.back.change.value == pytest.approx((without - correct(made, ROWS)).mean())
    assert [row.cut for row in report.ordered()][: len(report.together[-1].rows)] == list(report.together[-1].rows)


def test_a_plan_of_one_row_is_set_beside_the_dense_model(made, tmp_path):
    report = core.undo(made, SparsityPlan((Cut("2", "weight", 0.9),)), workspace=tmp_path, samples="all", further=False)
    (row,) = report.rows
    assert row.back.change == report.drop
    assert row.back.drop.value == 0
    assert (row.step, row.further) == (None, None)


def test_a_row_that_changes_nothing_has_no_effect(tmp_path):
    model = net()
    with torch.no_grad():
        model.get_submodule("4").weight[:, :3] = 0
        model.get_submodule("2").weight[:3] *= 1e-3  # the smallest are what nothing reads
    x = torch.randn(200, 8, generator=torch.Generator().manual_seed(1))
    workload = Workload("net", model, Examples(x, model(x).argmax(1)), accuracy(), batch_size=500)
    plan = SparsityPlan((Cut("0", "weight", 0.5), Cut("2", "weight", 0.1)))
    report = core.undo(workload, plan, workspace=tmp_path, samples="all", further=False)
    assert [row.back.state for row in report.rows] == ["measured", "no effect"]
    assert report.ordered()[-1].cut.target == "2"


@pytest.mark.parametrize("metric", [accuracy(), kl_from_dense()], ids=["accuracy", "against the dense model"])
def test_replayed_around_the_plan_is_the_same_to_the_last_bit(made, metric):
    workload = Workload("net", made.model, made.evaluation, metric, batch_size=500)
    found = {}
    for replay in (True, False):
        with AroundMeasurement(workload, None, "all") as measurement:
            measurement.prepare(PLAN)
            measurement.around(PLAN)
            near = neighbours(PLAN, measurement.targets)
            others = [other for one in near for other in (one.without, one.further)]
            sweep = AroundSweep(measurement, PLAN, others, replay, lambda news: None)
            sweep.run()
            assert measurement.full_passes() == ()
            assert (measurement._worn is not None) == replay
            found[replay] = [
                [(one.scores.tolist(), str(one.losses), one.changed) for one in of.values()] for of in sweep._found
            ]
    assert found[True] == found[False]


def test_channels_heads_and_blocks_around_a_plan(encoder):
    before = {name: tensor.clone() for name, tensor in encoder.model.state_dict().items()}
    with AroundMeasurement(encoder, None, "all") as measurement:
        structure = measurement.structure()
        chosen = {target.granularity: target for target in reversed(structure.targets)}
        cuts = [
            Cut(target.name, kind, *((0.5,) if kind in ("weight", "channel") else ()))
            for kind, target in chosen.items()
        ]
        plan = SparsityPlan(tuple(cuts))
        measurement.prepare(plan)
        measurement.around(plan)
        near = neighbours(plan, measurement.targets)
        sweep = AroundSweep(measurement, plan, [one.without for one in near], True, lambda news: None)
        sweep.run()
        sweep.plan()
        for one in near:
            with Measurement(encoder, None, "all") as plain:
                assert sweep.moved(one.without, less=True).drop == plain.measure(one.without).drop
    assert len(cuts) >= 3
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.model.state_dict().items())


def test_stopped_and_resumed_is_the_same_as_never_stopped(net_file, tmp_path, monkeypatch):
    plan = SparsityPlan((Cut("fc1", "weight", 0.5), Cut("fc2", "weight", 0.5)))
    request = UndoRequest(str(net_file), plan.to_document(), damage=False)
    whole_runs, runs = RunStore(Workspace(tmp_path / "whole")), RunStore(Workspace(tmp_path / "stopped"))
    whole, _ = whole_runs.submit("undo", *sweep_submission(request))
    whole = whole_runs.undo_report(execute(whole_runs, whole.id))
    run, _ = runs.submit("undo", *sweep_submission(request))
    monkeypatch.setattr(measuring, "CHECK_SECONDS", -1.0)
    asked = iter(range(10**6))
    monkeypatch.setattr(RunStore, "stopping", lambda self, run_id: next(asked) > 7)
    assert execute(runs, run.id).state == "cancelled"
    monkeypatch.undo()
    assert [row.back.state for row in runs.undo_report(runs.get(run.id)).rows] == ["waiting", "waiting"]
    runs.requeue(run.id)
    resumed = execute(runs, run.id)
    assert resumed.reused > 0
    assert runs.undo_report(resumed).rows == whole.rows


def test_damage_is_the_distance_of_outputs_by_hand(made):
    with Measurement(made, None, "all") as measurement:
        measurement.prepare(PLAN)
        found, n = damage_of(measurement, PLAN)
        x = torch.cat([measurement.inputs(i)[0] for i in range(2)])
    assert (n, len(x)) == (500, 500)
    assert [place.name for place in found] == ["0", "2", "4"]
    dense, cut = made.model, pruned(made.model, ROWS)
    for place in found:
        end = int(place.name) + 1
        with torch.no_grad():
            ours, theirs = dense[:end](x).double(), cut[:end](x).double()
            alone = pruned(dense, {place.name: ROWS[place.name]})[:end](x).double()
        for distance, other in ((place.whole, theirs), (place.alone, alone)):
            assert distance.error == pytest.approx(float((other - ours).norm() / ours.norm()), rel=1e-6)
            cosine = torch.nn.functional.cosine_similarity(ours.flatten(), other.flatten(), dim=0)
            assert distance.cosine == pytest.approx(float(cosine), rel=1e-6)
    assert found[0].alone == found[0].whole  # nothing is cut before it


def test_a_layer_that_the_plan_leaves_alone_has_no_damage_of_its_own(made):
    plan = SparsityPlan((Cut("2", "weight", 0.5),))
    with Measurement(made, None, "all") as measurement:
        measurement.prepare(plan)
        first, second, third = damage_of(measurement, plan)[0]
    assert (first.alone, first.whole.error) == (None, 0)
    assert second.alone == second.whole
    assert third.alone is None
    assert third.whole.error > 0


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (SparsityPlan(), "the plan cuts nothing"),
        (SparsityPlan((Cut("conv9", "weight", 0.5),), "other"), "the plan is for another model: net has no conv9"),
    ],
)
def test_bad_plans_are_refused(made, tmp_path, plan, words):
    with pytest.raises(SecateurError, match=words):
        core.undo(made, plan, workspace=tmp_path)


def test_examples_that_no_sweep_saw_are_taken_as_far_as_there_are_so_many(net_file, tmp_path):
    core.sweep(str(net_file), workspace=tmp_path, sparsities=(0.5,), samples=2, preview=False)
    plan = SparsityPlan((Cut("fc1", "weight", 0.5),))
    report = core.undo(str(net_file), plan, workspace=tmp_path, samples=2, damage=False)
    assert report.unseen
    assert not core.undo(str(net_file), plan, workspace=tmp_path, samples="all", damage=False).unseen


def test_a_race_says_of_every_row_what_all_examples_say_and_a_full_map_takes_up_what_it_measured(made, tmp_path):
    fine = Workload("net", made.model, made.evaluation, accuracy(), batch_size=100)
    raced = core.undo(fine, PLAN, workspace=tmp_path, samples="all", mode="race", damage=False)
    runs = RunStore(Workspace(tmp_path))
    with Workspace(tmp_path).connect() as db:
        n_raced = db.execute("SELECT COUNT(*) FROM evidence").fetchone()[0]
    whole = core.undo(fine, PLAN, workspace=tmp_path, samples="all", damage=False)
    n_others = 25 * (1 + len(raced.together))  # batches of the dense model and of rows together: the first is a fifth
    assert runs.list("undo")[0].reused == n_raced - n_others
    assert raced.drop == whole.drop
    stopped = [(a.back, b.back) for a, b in zip(raced.rows, whole.rows, strict=True) if a.back.stage == "decided"]
    assert stopped
    for some, every in stopped:
        assert some.change.n < every.change.n == 2400
        assert (every.sign == 1) == (some.sign == 1)
        assert some.change.low <= every.change.value <= some.change.high
    other = core.undo(fine, PLAN, workspace=tmp_path / "other", samples="all", damage=False)
    assert replace(other, run=whole.run) == whole


def test_a_race_stops_a_row_whose_interval_is_narrow_enough(made, tmp_path):
    fine = Workload("net", made.model, made.evaluation, accuracy(), batch_size=100)
    report = core.undo(fine, PLAN, workspace=tmp_path, samples="all", mode="race", width=0.5, further=False)
    assert all(row.back.change.n < 1000 for row in report.rows)
    assert all(row.back.change.high - row.back.change.low <= 0.5 or row.back.gains is not None for row in report.rows)


def test_rows_are_told_of_while_they_are_measured(made, tmp_path, monkeypatch):
    told = []
    keep = RunStore.set_news
    monkeypatch.setattr(undo_work, "SHOWN_SECONDS", -1.0)

    def set_news(self, run_id, cells, *rest):
        told.append(cells)
        keep(self, run_id, cells, *rest)

    monkeypatch.setattr(RunStore, "set_news", set_news)
    core.undo(made, PLAN, workspace=tmp_path, samples="all", damage=False)
    so_far = [cells[0].back for cells in told if cells]
    assert [one.stage for one in so_far[:-1]] == ["open"] * (len(so_far) - 2) + ["full"]
    assert [one.change.n for one in so_far] == sorted(one.change.n for one in so_far)
    first, plan = correct(made, {"2": 0.6, "4": 0.5}), correct(made, ROWS)
    n = so_far[0].change.n
    assert so_far[0].change.value == pytest.approx((first[:n] - plan[:n]).mean())
    assert so_far[0].change.low < so_far[-1].change.value < so_far[0].change.high


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"cost": "beauty"}, "no cost 'beauty'; choose one of nonzeros"),
        ({"mode": "quick"}, "mode must be one of exact, race"),
        ({"width": 0.01}, "width is when a race stops a row"),
        ({"mode": "race", "width": 0.0}, "a width is a difference above 0"),
        ({"cost": "milliseconds"}, "milliseconds need a profile with savings"),
        ({"cost": "parameters"}, "the plan saves no parameters"),
    ],
)
def test_what_a_map_cannot_be_asked_for_is_refused(made, tmp_path, asked, words):
    with pytest.raises(SecateurError, match=words):
        core.undo(made, PLAN, workspace=tmp_path, **asked)


def test_rows_stand_beside_the_cost_that_was_asked_for(made, tmp_path):
    report = core.undo(made, PLAN, workspace=tmp_path, samples="all", damage=False, cost="bytes")
    assert report.cost == "bytes"
    n_bytes = 4 * sum(parameter.numel() for parameter in made.model.parameters())
    numbers = 16 * 12  # of the second layer, with a bit for each place where it is sparse
    assert report.rows[1].costs["bytes"] == pytest.approx((numbers * 4 * 115 / 192 - numbers / 8) / n_bytes)
