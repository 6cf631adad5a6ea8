"""Whatever happens while it is measured, the user's model is afterwards the one it was: bits, storage and flags."""

from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from torch import nn

from core import Cut, Metric, PruningConfig, SecateurError, SparsityPlan, SweepRequest, export, prune, sweep
from core.pruning.masks import MaskMaker
from core.sensitivity.cells import plan_cells
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.stopping import Cancelled
from core.sensitivity.preview import preview
from core.sensitivity.sweep import Sweep
from core.workload.discovery import find_targets
from core.workspace import Workspace

PLAN = SparsityPlan((Cut("conv2", "weight", 0.5), Cut("fc", "weight", 0.9)))


def state_of(model):
    """All that could have been changed in a model, as values to compare with `==`."""
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return (
        [(name, id(t), t.data_ptr(), t.dtype, t.requires_grad, t.detach().numpy().tobytes()) for name, t in tensors],
        [(name, module.training) for name, module in model.named_modules()],
        [(name, sorted(module._buffers)) for name, module in model.named_modules()],
        [
            (name, key)
            for name, module in model.named_modules()
            for key, value in module._buffers.items()
            if value is None
        ],
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
    )


@pytest.fixture
def model(conv):
    """`ConvNet` in a mood of its own: partly in training mode, partly frozen, with a gradient."""
    conv.model.train()
    conv.model.bn2.eval()
    conv.model.conv1.weight.requires_grad_(False)
    conv.model.fc.weight.grad = torch.ones_like(conv.model.fc.weight)
    return conv.model


@pytest.fixture(autouse=True)
def _the_model_is_as_it_was(request):
    if "model" not in request.fixturenames:
        yield
        return
    model = request.getfixturevalue("model")
    before = state_of(model)
    yield
    assert state_of(model) == before
    assert torch.equal(model.fc.weight.grad, torch.ones_like(model.fc.weight))


def test_after_a_sweep(conv, model, tmp_path):
    assert len(sweep(conv, workspace=tmp_path, sparsities=(0.5, 0.9)).cells) == 6


def test_after_pruning(conv, model):
    prune(conv, PruningConfig(0.9))


def test_after_a_forward_that_raises(conv, model):
    def explode(module, args):
        if not module.weight.all():  # only when it is cut
            raise RuntimeError("no")

    handle = conv.model.fc.register_forward_pre_hook(explode)
    with Measurement(conv, None) as measurement:
        assert measurement.measure(PLAN).state == "failed"
    handle.remove()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, SecateurError, Cancelled])
def test_after_what_ends_the_measurement(conv, model, error):
    def explode(module, args):
        if not module.weight.all():
            raise error

    handle = conv.model.fc.register_forward_pre_hook(explode)
    with pytest.raises(error), Measurement(conv, None) as measurement:
        measurement.measure(PLAN)
    handle.remove()


def test_after_a_metric_that_raises(conv, model):
    calls, of_the_cut = [], []

    def score(outputs, labels):
        calls.append(1)
        if of_the_cut and len(calls) > 1:  # the dense model's batches went well, and the cut one's first
            raise KeyError("no such class")
        return outputs.sum(1).abs()

    metric = Metric(conv.metric.scale, score)
    with Measurement(replace(conv, metric=metric), None) as measurement:
        measurement.dense()
        calls.clear()
        of_the_cut.append(1)
        assert measurement.measure(PLAN).state == "failed"
    assert len(calls) == 2


@pytest.mark.parametrize("replay", [True, False], ids=["replay", "full passes"])
def test_after_a_cancelled_sweep(conv, model, tmp_path, replay):
    looks = []

    def check():
        looks.append(1)
        if len(looks) > 9:
            raise Cancelled

    store = EvidenceStore(Workspace(tmp_path))
    request = SweepRequest("conv", (0.5, 0.9), replay=replay)
    with Measurement(conv, store, check=check) as measurement:
        sweep = Sweep(measurement, plan_cells(measurement.targets, request), request, lambda news: None)
        with pytest.raises(Cancelled):
            sweep.run()


def test_after_a_cancel(conv, model, tmp_path):
    passes = []

    def check():
        passes.append(1)
        if len(passes) > 6:
            raise Cancelled

    store = EvidenceStore(Workspace(tmp_path))
    with pytest.raises(Cancelled), Measurement(conv, store, check=check) as measurement:
        measurement.measure(PLAN)


def preview_of(workload, cut="conv2", **options):
    """A preview of one cut, on the evaluation data: here only what it leaves behind matters."""
    maker = MaskMaker(workload.model, find_targets(workload.model)[0])
    workload = replace(workload, calibration=workload.evaluation)
    return preview(workload, maker, [Cut(cut, "weight", 0.5, "magnitude")], **options)


def test_after_a_preview(conv, model):
    assert preview_of(conv, "conv1").estimates  # a frozen one


@pytest.mark.parametrize("error", [RuntimeError("no"), SecateurError("no"), KeyboardInterrupt()])
def test_after_a_preview_whose_forward_raises(conv, model, error):
    def explode(module, args):
        raise error

    handle = conv.model.fc.register_forward_pre_hook(explode)
    with suppress(KeyboardInterrupt):
        assert preview_of(conv).reason.endswith("no")
    handle.remove()


def test_after_a_preview_whose_backward_raises(conv, model):
    def explode(module, grad_input, grad_output):
        raise RuntimeError("no")

    handle = conv.model.bn2.register_full_backward_hook(explode)
    assert "raised RuntimeError: no" in preview_of(conv, "conv1").reason
    handle.remove()


def test_after_a_preview_that_is_cancelled_within_a_measurement(conv, model):
    passes = []

    def check():
        passes.append(1)
        if len(passes) > 1:
            raise Cancelled

    with Measurement(conv, None) as measurement:
        before = measurement.measure(PLAN)
        with pytest.raises(Cancelled):
            preview_of(conv, check=check)
        assert not any(module.training for module in conv.model.modules())
        assert measurement.measure(PLAN) == before


def test_after_a_preview_of_heads(attentive):
    for parameter in attentive.model.parameters():
        parameter.requires_grad_(False)
    attentive.model.train()
    before = state_of(attentive.model)
    maker = MaskMaker(attentive.model, find_targets(attentive.model)[0])
    assert preview(replace(attentive, calibration=attentive.evaluation), maker, [Cut("attn:1", "head")]).estimates
    assert state_of(attentive.model) == before
    assert all(parameter.grad is None for parameter in attentive.model.parameters())


def test_after_an_export_that_is_refused(conv, model, tmp_path):
    result = prune(conv, PruningConfig(0.5))
    with pytest.raises(ValueError, match="put it in a file"):
        export(result, tmp_path / "bundle")


class Scribbler(nn.Module):
    """Writes to its buffers in every way there is, each time it is called, and answers by what it finds in them."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.fc = nn.Linear(2, 2)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("cache", None)
        self.register_buffer("quiet", torch.zeros(()), persistent=False)

    def forward(self, x):
        y = self.fc(x) + self.count + self.quiet + (0 if self.cache is None else self.cache)
        if self.how == "in place":
            self.count += 1
        elif self.how == "replaced":
            self.count = self.count + 1
        elif self.how == "filled":
            self.cache = torch.ones(())
        elif self.how == "not persistent":
            self.quiet.add_(1)
        elif self.how == "unseen":
            self.count.data.add_(1)  # torch counts no new version of the buffer
        elif self.how == "new":
            self.register_buffer("seen", torch.ones(()), persistent=False)
        elif self.how == "to nothing":
            self.count = None
            self.count = torch.zeros(())
        return y


@pytest.mark.parametrize("how", ["in place", "replaced", "filled", "not persistent", "new", "to nothing"])
def test_a_forward_that_writes_to_buffers_is_measured_as_if_it_were_the_first(hand, how):
    torch.manual_seed(0)
    workload = replace(hand, model=Scribbler(how))
    before = state_of(workload.model)
    plan = SparsityPlan((Cut("fc", "weight", 0.5),))
    with Measurement(workload, None) as measurement:
        first = measurement.measure(plan)
        assert measurement.measure(plan) == first
    assert state_of(workload.model) == before


@pytest.mark.parametrize("how", ["in place", "replaced", "filled", "not persistent", "new", "to nothing", "unseen"])
def test_a_preview_undoes_what_its_forwards_write_to_buffers(hand, how):
    torch.manual_seed(0)
    workload = replace(hand, model=Scribbler(how))
    before = state_of(workload.model)
    preview_of(workload, "fc")
    assert state_of(workload.model) == before


def test_a_forward_that_writes_unseen_is_refused_and_undone(hand):
    workload = replace(hand, model=Scribbler("unseen"))
    before = state_of(workload.model)
    with pytest.raises(SecateurError, match=r"two passes .* differ"), Measurement(workload, None) as measurement:
        measurement.dense()
    assert state_of(workload.model) == before
