"""Mixed precision: of the layers alone, by the device; masks and weights are what they were."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from core import FineTuning
from core.plans.schedules import Schedule
from core.recovery.held_masks import HeldMasks
from core.recovery.request import RecoverRequest
from core.recovery.rounds import Recovery
from core.recovery.training import precision
from core.recovery.training.loss import Loss
from core.recovery.training.precision import autocast_for, training_dtype
from core.recovery.training.split import Split
from core.recovery.training.training import fine_tune, new_optimiser
from core.sensitivity.measuring.measurement import Measurement

HOW = FineTuning(steps=12, batch_size=32, rate=5e-3, hints=("fc1",))


@pytest.fixture
def bfloat16(monkeypatch):
    """A device that calculates in bfloat16, played by the CPU; gives the dtypes that linear layers put out."""
    real = precision.training_dtype
    monkeypatch.setattr(precision, "training_dtype", lambda device: torch.bfloat16)
    assert real(torch.device("cpu")) == torch.float32
    seen = []
    forward = nn.Linear.forward

    def watched(self, x):
        found = forward(self, x)
        seen.append(found.dtype)
        return found

    monkeypatch.setattr(nn.Linear, "forward", watched)
    return seen


@pytest.mark.parametrize(
    ("kind", "supported", "expected"),
    [("cpu", True, torch.float32), ("cuda", True, torch.bfloat16), ("cuda", False, torch.float32)],
)
def test_only_a_gpu_with_units_for_it_calculates_in_bfloat16(monkeypatch, kind, supported, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert training_dtype(torch.device(kind)) == expected


def test_where_it_is_float32_the_context_changes_nothing():
    with autocast_for(torch.device("cpu")):
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("distillation", [0.0, 0.5])
def test_in_bfloat16_the_loss_is_finite_weights_stay_float32_and_masks_are_held(
    learner, bfloat16, optimiser, distillation
):
    how = replace(HOW, optimiser=optimiser, distillation=distillation)
    teacher = learner.model
    model = type(teacher)()
    model.load_state_dict(teacher.state_dict())
    generator = torch.Generator().manual_seed(0)
    kept = {name: torch.rand(p.shape, generator=generator) < 0.5 for name, p in model.named_parameters() if p.ndim == 2}
    masks, memory = HeldMasks(model, kept), new_optimiser(model, how)
    losses = []

    def tell(step, n_steps, loss):
        losses.append(loss)
        assert masks.are_held()

    fine_tune(model, Loss(learner, teacher, how), Split.of(learner, how), masks, memory, how, 1, tell=tell)
    assert torch.bfloat16 in bfloat16  # or this test would be of float32
    assert len(losses) == 12
    assert all(0 <= loss < 100 for loss in losses)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {v.dtype for state in memory.state.values() for v in state.values() if v is not None} == {torch.float32}
    for name, mask in kept.items():
        gone = model.get_parameter(name).detach()[~mask]
        assert torch.equal(gone.view(torch.int32), torch.zeros(len(gone), dtype=torch.int32))


def test_what_is_measured_is_float32_whatever_training_is(learner, bfloat16, tmp_path):
    asked = RecoverRequest("learner", Schedule("one_shot", 0.0, 0.5, 1), replace(HOW, hints=(), distillation=0.0))
    with Measurement(learner, None, "all") as measurement:
        recovery = Recovery(measurement, asked, tmp_path)
        (row,) = recovery.run()
        before = len(bfloat16)
        recovery.judge.outcome(recovery.model)
    assert set(bfloat16[before:]) == {torch.float32}
    assert row.after.value > 0.5


def test_the_key_of_a_recovery_knows_its_precision(learner, monkeypatch):
    from core.recovery import rounds

    with Measurement(learner, None, "all") as measurement:
        plain = Recovery(measurement, RecoverRequest("learner")).key
        monkeypatch.setattr(rounds, "training_dtype", lambda device: torch.bfloat16)
        assert Recovery(measurement, RecoverRequest("learner")).key != plain
