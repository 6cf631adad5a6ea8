"""Pairs: the interaction of two cuts, by hand and against independent references."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from core import (
    Cut,
    Estimate,
    Examples,
    Metric,
    PairsRequest,
    Scale,
    SecateurError,
    SparsityPlan,
    Workload,
    pairs,
    sweep,
)
from core.jobs.runs import RunStore
from core.jobs.submissions import sweep_submission
from core.jobs.worker import execute
from core.jobs.works import measuring
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.pair_sweep import PairSweep
from core.sensitivity.pairs import PairResult, PairsReport, PartResult, check_n_pairs
from core.sensitivity.statistics.bootstrap import macro_f1
from core.sensitivity.statistics.interaction import additive_scale, interaction_estimate
from core.sensitivity.statistics.intervals import drop_estimate, metric_estimate
from core.workload.metric import accuracy, perplexity
from core.workload.metrics.set_metrics import f1
from core.workspace import Workspace

SCORE = Scale("score", "points", higher_is_better=True, low=None, high=None)
HALVES = (Cut("left", "weight", 0.5), Cut("right", "weight", 0.5))
V = torch.tensor([1.0, 2.0, 4.0, 8.0])
JOINS = {"sum": torch.add, "product": torch.mul, "larger": torch.maximum, "log": lambda a, b: torch.log(a * b)}


class Two(nn.Module):
    """Two readers of one number v: left gives v, right 2 v, and half of the weights off either gives 0."""

    def __init__(self, join: str) -> None:
        super().__init__()
        self.join = join
        self.left, self.right = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.left.weight.copy_(torch.tensor([[5.0, 1.0]]))
            self.right.weight.copy_(torch.tensor([[7.0, 2.0]]))

    def forward(self, x):
        return JOINS[self.join](self.left(x), self.right(x))[:, 0]


def two(join, scale=SCORE, weigh=None, sign=1.0):
    """`Two` on four examples; its outputs are the scores, their labels 1, 1, 1, 3."""
    metric = Metric(scale, lambda outputs, labels: sign * outputs, weigh)
    examples = Examples(torch.stack([torch.zeros(4), V], 1), torch.tensor([1, 1, 1, 3]))
    return Workload(f"two-{join}", Two(join), examples, metric, batch_size=2)


def only(report):
    (pair,) = report.pairs
    assert (pair.a, pair.b) == HALVES
    return pair


def test_drops_that_add_up_have_no_interaction(tmp_path):
    pair = only(pairs(two("sum"), workspace=tmp_path))
    assert pair.state == "measured"
    assert pair.sum_alone == pair.joint.value == 3 * 3.75  # the mean of v is 3.75
    assert pair.interaction == Estimate(0.0, 0.0, 0.0, 4)
    assert not pair.is_sure


def test_one_output_killed_twice_costs_less_than_added_up(tmp_path):
    pair = only(pairs(two("product"), workspace=tmp_path))
    product = 2 * V.numpy() ** 2
    assert pair.joint.value == product.mean()
    assert pair.sum_alone == 2 * product.mean()
    own = metric_estimate(SCORE, -product.astype(float))  # of a mean like any other
    assert pair.interaction.value == -product.mean()
    assert (pair.interaction.low, pair.interaction.high) == pytest.approx((own.low, own.high))


def test_two_that_stand_in_for_each_other_cost_more_together(tmp_path):
    pair = only(pairs(two("larger"), workspace=tmp_path))
    # left alone costs nothing (and changes no output); without right v is left of 2 v; without both, nothing
    assert pair.state == "no effect"
    assert (pair.sum_alone, pair.joint.value, pair.interaction) == (3.75, 7.5, None)
    assert pair.reason == "left alone: no output changed on any of 4 examples"
    backed_up = replace(two("larger"), metric=Metric(SCORE, lambda outputs, labels: outputs.clamp(max=2.5)))
    backed_up.model.left.weight.data[0, 1] = 3.0  # now both matter: dense 3 v, without left 2 v, without right 3 v
    alone = pairs(backed_up, workspace=tmp_path).parts
    assert [part.state for part in alone] == ["measured", "no effect"]


def test_a_perplexity_is_compared_in_its_logarithm_with_the_weights_of_its_tokens(tmp_path):
    tokens = {"scale": replace(perplexity().scale, low=None), "weigh": lambda labels: labels.float(), "sign": -0.1}
    report = pairs(two("sum", **tokens), workspace=tmp_path)
    assert (report.scale.name, report.scale.unit, report.metric.name) == ("log perplexity", "nats", "perplexity")
    loss = 0.1 * (1 + 2 + 4 + 3 * 8) / 6  # of v, on average over tokens
    assert only(report).joint.value == pytest.approx(3 * loss)
    assert only(report).interaction.value == pytest.approx(0, abs=1e-6)
    pair = only(pairs(two("product", **tokens), workspace=tmp_path))
    assert pair.interaction.value == pytest.approx(-0.1 * 2 * (1 + 4 + 16 + 3 * 64) / 6)


def test_a_cut_that_fails_is_a_state_of_its_pairs_and_no_number(tmp_path):
    report = pairs(two("log"), workspace=tmp_path)
    assert [part.state for part in report.parts] == ["failed", "failed"]
    pair = only(report)
    assert (pair.state, pair.interaction, pair.joint) == ("failed", None, None)
    assert pair.reason == "left alone: 2 of 2 scores are NaN or infinite"
    assert report.summary() is None


def measured(workload, workspace, cuts, replay=True, check=lambda: None):
    news = []
    with Measurement(workload, EvidenceStore(workspace) if workspace else None, "all", check=check) as measurement:
        every = PairSweep(measurement, cuts, replay, news.append)
        every.run()
        return every.found(), news[-1]


CONV = tuple(Cut(name, "weight", 0.6) for name in ("conv1", "conv2", "fc"))


@pytest.mark.parametrize("replay", [True, False], ids=["replay", "full passes"])
def test_a_pair_is_what_measuring_its_plans_gives(conv, tmp_path, replay):
    workspace = Workspace(tmp_path)
    found, _ = measured(conv, workspace, CONV, replay)
    store = EvidenceStore(workspace)
    with Measurement(conv, store, "all") as measurement:
        measurement.dense()
        dense, _ = measurement.dense_scores(range(len(measurement.batches)))

        def scores(*cuts):
            plan = SparsityPlan(cuts)
            measured_alone[cuts] = measurement.measure(plan)
            rows = store.read(measurement.cell_key(plan), measurement.batches.keys)
            return np.concatenate([rows[key].scores for key in measurement.batches.keys]).astype(np.float64)

        measured_alone = {}
        per_pair = []
        for pair, (a, b) in zip(found.pairs, itertools.combinations(CONV, 2), strict=True):
            loss = scores(a, b) + dense - scores(a) - scores(b)  # lower is better
            per_pair.append(loss)
            own = metric_estimate(SCORE, loss)  # of a mean like any other
            assert pair.joint == measured_alone[a, b].drop
            assert pair.sum_alone == measured_alone[a,].drop.value + measured_alone[b,].drop.value
            assert pair.interaction.value == pytest.approx(pair.joint.value - pair.sum_alone, abs=1e-9)
            assert (pair.interaction.low, pair.interaction.high) == pytest.approx((own.low, own.high))
            assert pair.state == "measured"
        own = metric_estimate(SCORE, np.mean(per_pair, 0))
        assert (found.mean.low, found.mean.high) == pytest.approx((own.low, own.high))


def test_the_order_of_the_cuts_never_matters(conv):
    forth, back = (measured(conv, None, cuts)[0] for cuts in (CONV, CONV[::-1]))
    turned = {frozenset((pair.a, pair.b)): pair for pair in back.pairs}
    for pair in forth.pairs:
        other = turned[frozenset((pair.a, pair.b))]
        assert (pair.joint, pair.sum_alone, pair.state) == (other.joint, other.sum_alone, other.state)
        assert vars(pair.interaction) == pytest.approx(vars(other.interaction), abs=1e-12)


def test_what_a_sweep_measured_alone_is_not_measured_again(conv, tmp_path):
    sweep(conv, workspace=tmp_path, sparsities=(0.6,))
    n_batches = len(Measurement(conv, None).batches)
    pairs(conv, workspace=tmp_path, sparsity=0.6)
    newest = RunStore(Workspace(tmp_path)).list("pairs")[0]
    assert (newest.total, newest.done, newest.reused) == (6 * n_batches, 6 * n_batches, 3 * n_batches)
    pairs(conv, workspace=tmp_path, sparsity=0.6)
    assert RunStore(Workspace(tmp_path)).list("pairs")[0].reused == 6 * n_batches


def rows(workspace):
    with workspace.connect() as db:
        return [tuple(row) for row in db.execute("SELECT * FROM evidence ORDER BY cell, batch")]


def test_cancelled_and_resumed_is_the_same_as_never_cancelled(net_file, tmp_path, monkeypatch):
    request = PairsRequest(str(net_file), 0.4)
    runs = RunStore(Workspace(tmp_path / "ws"))
    run, _ = runs.submit("pairs", *sweep_submission(request))
    monkeypatch.setattr(measuring, "CHECK_SECONDS", -1.0)
    asked = iter(range(10**6))
    monkeypatch.setattr(RunStore, "stopping", lambda self, run_id: next(asked) > 14)
    assert execute(runs, run.id).state == "cancelled"
    monkeypatch.undo()
    partial = runs.pairs_report(runs.get(run.id))
    assert [pair.state for pair in partial.pairs] == ["waiting"]
    assert partial.summary() is None
    runs.requeue(run.id)
    resumed = execute(runs, run.id)
    assert 0 < resumed.reused < resumed.total == resumed.done
    whole = pairs(str(net_file), sparsity=0.4, workspace=tmp_path / "fresh")
    assert replace(runs.pairs_report(resumed), run="") == replace(whole, run="")
    assert rows(runs.workspace) == rows(Workspace(tmp_path / "fresh"))


def test_too_many_pairs_are_refused_with_the_way_to_narrow_them(conv, tmp_path):
    with pytest.raises(SecateurError, match="3 targets make 3 pairs, more than 2; narrow them with --layers REGEX"):
        pairs(conv, workspace=tmp_path, max_pairs=2)
    with pytest.raises(SecateurError, match="1 target makes no pair"):
        pairs(conv, workspace=tmp_path, layers="fc")
    with pytest.raises(SecateurError, match="matches no target"):
        pairs(conv, workspace=tmp_path, layers="atention")
    assert check_n_pairs(63) == 63 * 31
    with pytest.raises(SecateurError, match="64 targets make 2,016 pairs"):
        check_n_pairs(64)


@pytest.mark.parametrize("fields", [{"sparsity": 0.0}, {"sparsity": 50}, {"max_pairs": 0}, {"layers": "("}])
def test_a_bad_request_is_refused(fields):
    with pytest.raises(SecateurError):
        PairsRequest("fashion-resnet", **fields)


def test_heads_and_layers_meet_in_pairs(attentive, tmp_path):
    report = pairs(attentive, workspace=tmp_path)
    cuts = [part.cut for part in report.parts]
    assert {cut.granularity for cut in cuts} == {"weight", "head"}
    assert [(pair.a, pair.b) for pair in report.pairs] == list(itertools.combinations(cuts, 2))
    assert {pair.state for pair in report.pairs} == {"measured"}
    heads = pairs(attentive, workspace=tmp_path, layers=":")
    assert [(pair.a, pair.b) for pair in heads.pairs] == [(Cut("attn:0", "head"), Cut("attn:1", "head"))]
    assert heads.pairs[0] in report.pairs


def test_four_that_agree_on_every_example_leave_room_for_three_others():
    right = np.ones(200)
    found = interaction_estimate(accuracy().scale, right, right, right, right)
    # twice the range of an accuracy on 3 / n of the examples
    assert (found.value, found.low, found.high) == (0, pytest.approx(-0.03), pytest.approx(0.03))


def four(seed, n=60, classes=3):
    """Labels and four predictions of them, 80 % right."""
    random = np.random.default_rng(seed)
    truth = random.integers(classes, size=n).astype(float)
    said = [np.where(random.random(n) < 0.8, truth, random.integers(classes, size=n)) for _ in range(4)]
    return truth, said


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
@pytest.mark.parametrize("scale", [f1().scale, accuracy().scale, SCORE], ids=["f1", "accuracy", "score"])
def test_an_interaction_is_the_same_either_way_round_and_inside_its_interval(scale, seed):
    truth, (dense, a, b, joint) = four(seed)
    beside = truth if scale.of_set else None
    one = interaction_estimate(scale, dense, a, b, joint, beside)
    other = interaction_estimate(scale, dense, b, a, joint, beside)
    assert vars(one) == pytest.approx(vars(other), abs=1e-12)
    assert one.low <= one.value <= one.high
    alone = [drop_estimate(scale, dense, cut, beside).value for cut in (a, b)]
    assert one.value == pytest.approx(drop_estimate(scale, dense, joint, beside).value - sum(alone), abs=1e-9)


def test_a_metric_of_the_set_interacts_on_the_draws_of_its_bootstrap():
    truth, (dense, a, b, joint) = four(0, n=80)
    found = interaction_estimate(f1().scale, dense, a, b, joint, truth)
    random = np.random.default_rng(1)
    drawn = random.multinomial(80, np.full(80, 1 / 80), 4000).T.astype(float)
    d, of_a, of_b, both = (macro_f1(said, truth, drawn) for said in (dense, a, b, joint))
    low, high = np.quantile(of_a + of_b - d - both, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03)
    same = interaction_estimate(f1().scale, dense, a, dense, a, truth)  # b does nothing
    assert same.value == 0
    assert same.low <= 0 <= same.high


def test_a_set_metric_run_has_interactions_and_no_interval_of_their_mean(hand, tmp_path):
    report = pairs(replace(hand, metric=f1()), workspace=tmp_path, sparsity=0.75)
    assert report.mean is None
    assert report.summary().n == 1


def result(a, b, sum_alone, value, low, high):
    cuts = (Cut(a, "weight", 0.5), Cut(b, "weight", 0.5))
    joint = Estimate(sum_alone + value, 0, 1, 100)
    return PairResult(*cuts, "measured", joint, sum_alone, Estimate(value, low, high, 100))


MADE = PairsReport(
    "1234", "m", SCORE, SCORE, Estimate(1, 0, 2, 100),
    tuple(PartResult(Cut(name, "weight", 0.5), "measured", Estimate(0, 0, 0, 100)) for name in "abc"),
    (result("a", "b", 1.0, 0.5, 0.25, 0.75), result("a", "c", 2.0, -0.75, -2, 0.5), result("b", "c", 3.0, 1.0, 0.5, 2)),
    Estimate(0.25, -0.25, 0.75, 100),
)  # fmt: skip


def test_the_summary_by_hand():
    found = MADE.summary()
    assert (found.n, found.n_sure, found.n_by_chance) == (3, 2, pytest.approx(0.15))
    assert (found.mean, found.mean_size) == (0.25, 0.75)
    joints = [1.5, 1.25, 4.0]
    assert found.spearman == pytest.approx(stats.spearmanr([1, 2, 3], joints).statistic)
    assert found.pearson == pytest.approx(stats.pearsonr([1, 2, 3], joints).statistic)
    # what the data can tell comes first, however large the others are
    assert [pair.interaction.value for pair in MADE.strongest()] == [1.0, 0.5, -0.75]
    assert MADE.to_json()["summary"]["n_sure"] == 2


def test_results_survive_json():
    for one in (*MADE.parts, PartResult(HALVES[0], "failed", reason="no")):
        assert PartResult.from_json(one.to_json()) == one
    for pair in (*MADE.pairs, PairResult(*HALVES, "no effect", None, 0.5, reason="so")):
        assert PairResult.from_json(pair.to_json()) == pair


def test_the_scale_on_which_drops_add_up():
    assert additive_scale(accuracy().scale) == accuracy().scale
    log = additive_scale(perplexity().scale)
    assert (log.low, log.high, log.higher_is_better, log.aggregate) == (0, None, False, "mean")
