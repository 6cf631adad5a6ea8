"""A recovered model is a workload of its own."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from core import Cut, FineTuning, SecateurError, SparsityPlan, prune, recovered
from core.plans.schedules import Schedule
from core.recovery.request import RecoverRequest
from core.recovery.round_file import path_of
from core.sensitivity.measuring.measurement import Measurement
from tests.core.recovery.learners import recover

HALF = SparsityPlan((Cut("fc1", "channel", 0.5),))


@pytest.fixture
def done(learner, tmp_path):
    how = FineTuning(steps=30, batch_size=32, rate=5e-3)
    asked = RecoverRequest("learner", Schedule("linear", 0.0, 0.9, 2), how, HALF.to_document())
    return recover(learner, asked, tmp_path)


def test_it_measures_what_the_round_measured(learner, done, tmp_path):
    for number, row in enumerate(done.history, start=1):
        workload = recovered(learner, path_of(tmp_path, number))
        workload.check()
        with Measurement(workload, None, "all") as measurement:
            assert measurement.dense() == row.after
    assert workload.name == "learner, recovered, round 2"


def test_channels_that_were_held_at_zero_can_be_taken_out_and_the_smaller_model_is_as_good(learner, done, tmp_path):
    workload = recovered(learner, path_of(tmp_path, 2))
    smaller = prune(workload, HALF, form="shrunk")
    assert smaller.model.fc1.weight.shape == (12, 12)
    assert smaller.shrunk.outcome.metric == done.history[-1].after
    assert smaller.measurement.outcome.state == "no effect"  # by magnitude the zeros go first: nothing else is cut


def test_what_is_no_round_of_this_model_is_refused(learner, done, tmp_path):
    class Other(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.fc1, self.bn, self.fc2 = nn.Linear(12, width), nn.BatchNorm1d(width), nn.Linear(width, 3)

        def forward(self, x):
            return self.fc2(self.bn(self.fc1(x)))

    for model, message in ((Other(20), "fc1.weight has the shape"), (nn.Linear(12, 3), "of another model")):
        with pytest.raises(SecateurError, match=message):
            recovered(replace(learner, model=model), path_of(tmp_path, 1))
    with pytest.raises(SecateurError, match="is no checkpoint of a recovery"):
        recovered(learner, tmp_path / "none.safetensors")
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    recovered(learner, path_of(tmp_path, 1))
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.model.state_dict().items())
