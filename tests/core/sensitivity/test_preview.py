"""The preview: formulas against autograd written out, and what it must never do."""

from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from core import Cut, Examples, Metric, SecateurError, SweepRequest, Workload, cross_entropy, sweep
from core.jobs.runs import RunStore
from core.jobs.worker import execute
from core.jobs.works import measuring
from core.pruning.masks import MaskMaker
from core.sensitivity.cells import plan_cells
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.stopping import Cancelled
from core.sensitivity.preview import preview
from core.workload.discovery import find_targets
from core.workspace import Workspace
from tests.tiny_models import Attentive, TwoLayers, random_examples, seeded


def calibrated(workload, n=30):
    """The same workload with calibration data like its evaluation data."""
    shape = workload.evaluation.inputs[0].shape[1:]
    if workload.name == "tied-lm":
        codes = torch.randint(11, (n, *shape), generator=torch.Generator().manual_seed(5))
        return replace(workload, calibration=Examples(codes, codes.roll(-1, 1)))
    return replace(workload, calibration=random_examples(shape, 2, n, seed=5))


def cuts_of(workload, **request):
    return [cell.cut for cell in plan_cells(find_targets(workload.model)[0], SweepRequest("m", **request))]


def previewed(workload, cuts=None, **options):
    maker = MaskMaker(workload.model, find_targets(workload.model)[0])
    return preview(workload, maker, cuts_of(workload) if cuts is None else cuts, **options)


def test_one_weight_by_hand():
    """y = w x, loss = the sum of y: the gradient of a batch is its sum of x."""
    model = nn.Linear(1, 2, bias=False)
    model.weight.data = torch.tensor([[3.0], [1.0]])
    x = torch.tensor([[1.0], [2.0], [-1.0], [4.0]])
    metric = replace(cross_entropy(), loss=lambda outputs, labels: outputs.sum(1))
    workload = Workload("hand", model, Examples(x, x), metric, Examples(x, x), batch_size=2)
    found = previewed(workload, [Cut("model", "weight", 0.5, "magnitude"), Cut("model", "weight", 0.0, "magnitude")])
    # batches sum to x = 3 and 3; the entry of value 1 goes: (1/2) ((1 * 3)^2 + (1 * 3)^2) / 4 examples
    assert list(found.estimates.values()) == [0.0, 9 / 4]
    assert (found.n, found.reason) == (4, None)


@pytest.mark.parametrize("name", ["conv", "attentive", "tied_lm"])
def test_weights_are_the_squared_sums_over_what_the_mask_removes(name, request):
    workload = calibrated(request.getfixturevalue(name))
    maker = MaskMaker(workload.model, find_targets(workload.model)[0])
    cuts = [cut for cut in cuts_of(workload) if cut.granularity == "weight"]
    found = preview(workload, maker, cuts)
    sums = dict.fromkeys(cuts, 0.0)
    for batch in workload.calibration.batches(workload.batch_size):
        loss = workload.metric.loss(workload.model(*batch.inputs), batch.labels).sum()
        for cut in cuts:
            ((parameter, mask),) = maker.masks_of(cut).items()
            weight = workload.model.get_parameter(parameter)
            (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
            sums[cut] += float((gradient * weight.detach())[~mask].sum()) ** 2
    for cut in cuts:
        smaller = [c for c in cuts if c.target == cut.target and c.sparsity <= cut.sparsity]
        assert found.estimates[cut] == pytest.approx(0.5 / 30 * max(sums[c] for c in smaller), rel=1e-4, abs=1e-12)


class OwnAttention(nn.Module):
    """Two heads of two numbers, whose projection is called as a module."""

    num_heads, head_dim = 2, 2

    def __init__(self):
        super().__init__()
        self.mix, self.out_proj = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.out_proj(torch.tanh(self.mix(x)))


class Around(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = OwnAttention()

    def forward(self, x):
        return self.attn(x).mean(1)


def test_a_head_is_the_mean_of_what_its_output_does_to_each_loss():
    """Michel et al. 2019, written out with a gate on every head: the derivative at 1 is the sum of A times dL/dA."""
    data = random_examples((5, 4), 3, 30)
    workload = Workload("own", seeded(Around), data, cross_entropy(), data, batch_size=8)
    found = previewed(workload, [Cut("attn:0", "head"), Cut("attn:1", "head")])
    attn, (x,) = workload.model.attn, data.inputs
    gates = torch.ones(30, 1, 2, requires_grad=True)
    heads = torch.tanh(attn.mix(x)).unflatten(-1, (2, 2)) * gates[..., None]
    losses = F.cross_entropy(attn.out_proj(heads.flatten(-2)).mean(1), data.labels, reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), gates)
    assert list(found.estimates.values()) == pytest.approx(gradient[:, 0].abs().mean(0).tolist(), rel=1e-5)


def test_heads_whose_projection_is_no_module_call_are_estimated_from_its_columns():
    """With batches of one example both ways are the same number: sum of A dL/dA = sum over columns of W dL/dW."""
    data = random_examples((5, 8), 3, 6)
    workload = Workload("mha", seeded(Attentive), data, cross_entropy(), data, batch_size=1)
    found = previewed(workload, [Cut("attn:0", "head"), Cut("attn:1", "head")])
    projection = workload.model.attn.out_proj.weight
    expected = torch.zeros(2)
    for batch in data.batches(1):
        (g,) = torch.autograd.grad(F.cross_entropy(workload.model(*batch.inputs), batch.labels), projection)
        expected += (g * projection).sum(0).view(2, 4).sum(1).abs().detach() / 6
    assert list(found.estimates.values()) == pytest.approx(expected.tolist(), rel=1e-4)


def test_every_cell_of_every_kind_of_model_gets_a_number(any_workload):
    workload = calibrated(any_workload)
    found = previewed(workload)
    assert found.reason is None
    assert list(found.estimates) == cuts_of(workload)
    assert all(value >= 0 for value in found.estimates.values())


@given(sparsities=st.lists(st.floats(0, 0.99), min_size=2, max_size=6, unique=True), seed=st.integers(0, 50))
def test_more_removed_is_never_estimated_cheaper(sparsities, seed):
    data = random_examples((2,), 2, 8, seed)
    workload = Workload("two", TwoLayers(), data, cross_entropy(), data, batch_size=4)
    cuts = [Cut("fc1", "weight", s, "magnitude") for s in sorted(sparsities)]
    values = previewed(workload, cuts).estimates
    assert [values[cut] for cut in cuts] == sorted(values.values())


def test_frozen_weights_are_estimated_like_others(conv):
    workload = calibrated(conv)
    expected = previewed(workload)
    for parameter in workload.model.parameters():
        parameter.requires_grad_(False)
    assert previewed(workload) == expected
    with torch.inference_mode():
        assert previewed(workload) == expected


def test_only_the_first_examples_are_looked_at(conv):
    workload = calibrated(conv)
    first = previewed(workload, max_examples=20)
    assert first.n == 20
    assert first == previewed(replace(workload, calibration=workload.calibration.first(20)))


def test_a_layer_that_no_gradient_reaches_stays_unknown(hand):
    hand.model.unused = nn.Linear(2, 2)
    assert {cut.target for cut in previewed(calibrated(hand)).estimates} == {"fc1", "fc2"}


class NoGrad(TwoLayers):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class NotANumber(TwoLayers):
    def forward(self, x):
        return super().forward(x) * float("nan")


def no_calibration(workload):
    return replace(workload, calibration=None)


def no_loss(workload):
    return replace(workload, metric=Metric(workload.metric.scale, workload.metric.score))


def one_loss(workload):
    return replace(workload, metric=replace(workload.metric, loss=F.cross_entropy))


def no_grad(workload):
    return replace(workload, model=NoGrad())


def not_a_number(workload):
    return replace(workload, model=NotANumber())


def wrong_labels(workload):
    return replace(workload, calibration=Examples(torch.ones(4, 2), torch.full((4,), 9)))


REASONS = [
    (no_calibration, "has no calibration data"),
    (no_loss, "metric 'accuracy' has no loss"),
    (one_loss, "one number per example"),
    (no_grad, "torch.no_grad"),
    (not_a_number, "NaN or infinite"),
    (wrong_labels, "raised IndexError"),
]


@pytest.mark.parametrize(("spoil", "reason"), REASONS)
def test_where_there_is_no_preview_there_is_a_reason_and_the_sweep_goes_on(hand, tmp_path, spoil, reason):
    workload = spoil(calibrated(hand))
    found = previewed(workload)
    assert (found.estimates, found.n) == ({}, 0)
    assert reason in found.reason
    if spoil is not_a_number:  # that is no workload at all
        return
    report = sweep(workload, workspace=tmp_path, sparsities=(0.5, 0.75))
    assert report.no_preview == found.reason
    assert {cell.estimate for cell in report.cells} == {None}
    assert {cell.state for cell in report.cells} == {"measured"}


def test_a_forward_that_writes_into_its_weights_is_undone_and_refused(tied_lm):
    workload = calibrated(tied_lm)
    workload.model.tokens.max_norm = 0.1
    before = workload.model.tokens.weight.detach().clone()
    assert "writes into its own parameter" in previewed(workload).reason
    assert torch.equal(workload.model.tokens.weight, before)


def test_a_sweep_keeps_its_estimates_beside_what_it_measured(hand, tmp_path):
    workload = calibrated(hand)
    report = sweep(workload, workspace=tmp_path, sparsities=(0.25, 0.5, 0.75))
    expected = previewed(workload, [cell.cut for cell in report.cells]).estimates
    assert {cell.cut: cell.estimate for cell in report.cells} == expected
    assert (report.n_calibration, report.no_preview) == (30, None)
    without = sweep(workload, workspace=tmp_path, sparsities=(0.25, 0.5, 0.75), preview=False)
    assert without.cells == tuple(replace(cell, estimate=None) for cell in report.cells)
    assert (without.n_calibration, without.no_preview) == (0, None)


def test_a_resumed_sweep_finds_its_estimates_and_a_cancel_is_heard_while_they_are_made(hand, tmp_path, monkeypatch):
    runs, workload = RunStore(Workspace(tmp_path)), calibrated(hand)
    request = asdict(SweepRequest("memory:hand", (0.5, 0.75)))
    run, _ = runs.submit("sweep", "memory:hand", request)

    monkeypatch.setattr(measuring, "CHECK_SECONDS", -1.0)

    def stop_while(phase):
        monkeypatch.setattr(RunStore, "stopping", lambda self, run_id: self.get(run_id).phase == phase)

    stop_while("estimating from gradients")
    assert execute(runs, run.id, workload).state == "cancelled"
    begun = runs.report(runs.get(run.id))
    assert [cell.drop is not None for cell in begun.cells] == [True] + [False] * (len(begun.cells) - 1)
    assert {cell.estimate for cell in begun.cells} == {None}

    stop_while("trying every target")
    assert execute(runs, runs.requeue(run.id).id, workload).state == "cancelled"
    first = runs.report(runs.get(run.id))
    assert None not in {cell.estimate for cell in first.cells}

    monkeypatch.undo()
    monkeypatch.setattr("core.jobs.works.sweep.preview", None)  # a call would fail
    assert execute(runs, runs.requeue(run.id).id, workload).state == "finished"
    assert [c.estimate for c in runs.report(runs.get(run.id)).cells] == [c.estimate for c in first.cells]


def test_cancelled_goes_through(conv):
    def check():
        raise Cancelled

    with pytest.raises(Cancelled):
        previewed(calibrated(conv), check=check)


def test_a_cut_of_what_is_not_there_is_a_reason(conv):
    assert "no weight target 'conv3'" in previewed(calibrated(conv), [Cut("conv3", "weight", 0.5, "magnitude")]).reason


def test_an_error_of_ours_inside_the_model_is_told_as_it_is(conv):
    def refuse(module, args):
        raise SecateurError("not today")

    handle = conv.model.fc.register_forward_pre_hook(refuse)
    assert previewed(calibrated(conv)).reason == "not today"
    handle.remove()


def test_channels_are_estimated_by_all_that_reads_them(conv):
    workload = calibrated(conv, 9)
    with Measurement(workload, None) as measurement:
        measurement.structure()
        cuts = [Cut("conv1", "channel", s) for s in (0.25, 0.5, 0.75)]
        found = preview(workload, measurement.maker, cuts)
        assert found.reason is None
        values = [found.estimates[cut] for cut in cuts]
        assert 0 < values[0] <= values[1] <= values[2]
        # one batch, by hand: the sum of gradient times weight over the columns that go, squared and halved, per example
        examples = workload.calibration
        loss = workload.metric.loss(workload.model(*examples.inputs), examples.labels).sum()
        weight = workload.model.conv2.weight
        (gradient,) = torch.autograd.grad(loss, [weight])
        gone = measurement.maker.units(cuts[0])[1]
        assert values[0] == pytest.approx(
            0.5 * float((gradient * weight.detach())[:, gone].sum()) ** 2 / len(examples), rel=1e-4
        )
