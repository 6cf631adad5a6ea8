"""Evaluation data stay what they are, whatever a model or a metric does to what it is given."""

import pytest
import torch
from torch import nn

from core import Examples, Metric, SecateurError, Workload, cross_entropy, sweep
from core.plans.plan import SparsityPlan
from core.pruning.structure import find_structure
from core.sensitivity.measuring.measurement import Measurement
from core.workload.scale import Scale


class Doubling(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = self.spoil(x)
        return self.fc2(torch.relu(self.fc1(x)))

    def spoil(self, x):
        return x.mul_(2)


class Normalising(Doubling):
    def spoil(self, x):
        x -= x.mean(1, keepdim=True)
        return x.div_(x.std(1, keepdim=True) * 3)


class Clipping(Doubling):
    def spoil(self, x):
        x[:, 0] = x[:, 0] * 0.5
        return x.clamp_(-1, 1)


@pytest.fixture(params=[Doubling, Normalising, Clipping])
def workload(request):
    torch.manual_seed(0)
    examples = Examples(torch.randn(40, 6), torch.arange(40) % 3)
    return Workload("writer", request.param().eval(), examples, cross_entropy(), batch_size=20)


def right(workload, plan_zeros):
    """Mean loss in plain torch, of one pass over copies, with some entries of fc1 set to zero."""
    kept = workload.model.fc1.weight.detach().clone()
    with torch.no_grad():
        workload.model.fc1.weight[plan_zeros] = 0
        losses = nn.functional.cross_entropy(
            workload.model(workload.evaluation.inputs[0].clone()), workload.evaluation.labels
        )
        workload.model.fc1.weight.copy_(kept)
    return losses.item()


@pytest.mark.parametrize("replay", [True, False])
def test_a_model_that_writes_into_its_input_is_measured_on_what_it_was_given(workload, tmp_path, replay):
    before = workload.evaluation.fingerprint()
    report = sweep(workload, workspace=tmp_path, sparsities=(0.5,), layers="fc1", channels=True, replay=replay)
    assert workload.evaluation.fingerprint() == before
    weight = workload.model.fc1.weight.detach()
    zeros = torch.zeros(weight.numel(), dtype=torch.bool)
    zeros[weight.abs().flatten().argsort(stable=True)[: weight.numel() // 2]] = True
    (cell,) = [cell for cell in report.cells if cell.cut.granularity == "weight"]
    assert report.dense.value == pytest.approx(right(workload, torch.zeros_like(weight).bool()), rel=1e-5)
    assert cell.metric.value == pytest.approx(right(workload, zeros.view_as(weight)), rel=1e-5)


def test_it_is_said_and_the_model_is_afterwards_as_it_was(workload):
    with Measurement(workload, None) as measurement:
        measurement.dense()
        assert "writes into its inputs" in measurement.notes()[0]
    assert not workload.model._forward_pre_hooks


def test_looking_for_what_can_be_cut_leaves_the_data_alone(workload):
    before = workload.evaluation.fingerprint()
    structure = find_structure(workload.model, tuple(workload.evaluation.inputs))
    assert "fc1" in structure.groups  # the trial of the cut was of one and the same input
    assert workload.evaluation.fingerprint() == before


def test_a_model_that_only_reads_is_told_nothing():
    torch.manual_seed(0)
    given = Workload("reader", nn.Linear(6, 3), Examples(torch.randn(10, 6), torch.arange(10) % 3), cross_entropy())
    with Measurement(given, None) as measurement:
        measurement.dense()
        assert measurement.notes() == ()


def test_data_that_something_else_writes_to_are_refused_at_the_end():
    torch.manual_seed(0)
    x = torch.randn(12, 6)

    def score(outputs, labels):
        x[0] += 1  # a metric that keeps hold of the data
        return nn.functional.cross_entropy(outputs, labels, reduction="none")

    metric = Metric(Scale("loss", "nats", False, 0.0, None), score)
    given = Workload("kept", nn.Linear(6, 3), Examples(x, torch.arange(12) % 3), metric)
    with (
        pytest.raises(SecateurError, match=r"the evaluation data of kept were written to .*measure again in a fresh"),
        Measurement(given, None) as measurement,
    ):
        measurement.measure(SparsityPlan())


@pytest.mark.parametrize("spoil", [Doubling, Clipping])
def test_calibration_batches_are_copies(spoil):
    torch.manual_seed(0)
    examples = Examples(torch.randn(10, 6), torch.arange(10) % 3)
    before = examples.fingerprint()
    with torch.no_grad():
        for batch in examples.batches(4):
            spoil()(*batch.inputs)
    assert examples.fingerprint() == before
