"""What cannot be measured honestly is refused."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from core import Examples, SecateurError, accuracy, agreement, cross_entropy


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_evaluation_examples_are_refused(hand, n):
    with pytest.raises(SecateurError, match=f"has {n} example.*give it more data"):
        replace(hand, evaluation=hand.evaluation.first(n)).check()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_refused_by_name(hand, bad):
    with torch.no_grad():
        hand.model.fc2.weight[0, 1] = bad
    with pytest.raises(SecateurError, match=r"fc2.weight of hand holds 1 NaN or infinite"):
        hand.check()


def test_a_buffer_that_is_not_finite_is_refused_by_name(conv):
    conv.model.bn1.running_var[2] = float("nan")
    with pytest.raises(SecateurError, match=r"bn1.running_var"):
        conv.check()


@pytest.mark.parametrize("model", [nn.LazyLinear(2), nn.Linear(2, 2, device="meta")])
def test_weights_without_values_are_refused(hand, model):
    with pytest.raises(SecateurError, match="no values yet"):
        replace(hand, model=model).check()


def test_a_model_made_in_inference_mode_is_refused_since_it_cannot_be_restored(hand):
    with torch.inference_mode():
        model = nn.Linear(2, 2)
    with pytest.raises(SecateurError, match=r"weight of hand was made inside torch.inference_mode\(\)"):
        replace(hand, model=model).check()


@pytest.mark.parametrize("role", ["calibration", "training"])
def test_an_evaluation_example_in_another_role_is_refused_by_its_content(hand, role):
    other = Examples(torch.tensor([[9.0, 9.0], [0.0, 3.0]]), torch.tensor([5, 5]))  # other label, other place
    with pytest.raises(SecateurError, match=f"1 evaluation example.*also {role}"):
        replace(hand, **{role: other}).check()
    replace(hand, **{role: Examples(torch.tensor([[9.0, 9.0]]), torch.tensor([5]))}).check()


@pytest.mark.parametrize("fields", [{"sweep_examples": 1}, {"sweep_examples": -3}, {"batch_size": 0}])
def test_sizes_from_which_nothing_can_be_measured_are_refused(hand, fields):
    with pytest.raises(SecateurError, match=f"{next(iter(fields))} of hand must be"):
        replace(hand, **fields).check()


def test_a_metric_that_does_not_score_each_example_is_refused(hand):
    metric = replace(cross_entropy(), score=lambda outputs, labels: outputs.mean())
    with pytest.raises(SecateurError, match=r"one score per example, shape \(4,\), got \(\)"):
        metric.score_batch(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long))


def test_a_metric_without_the_labels_it_needs_is_refused_before_anything_runs(hand):
    bare = replace(hand, evaluation=Examples(hand.evaluation.inputs))
    with pytest.raises(SecateurError, match="'accuracy' compares with labels, and these examples have none"):
        bare.check()
    replace(bare, metric=agreement()).check()


WRONG_TYPES = {
    "accuracy": (
        {"metric": accuracy},
        "metric of workload 'hand' must be a core.Metric; call the function: accuracy()",
    ),
    "a function as model": ({"model": lambda x: x}, "model of workload 'hand' must be a torch.nn.Module; got function"),
    "a class as model": ({"model": nn.Identity}, "model of workload 'hand' must be a torch.nn.Module; got type"),
    "pairs": ({"evaluation": (torch.eye(2), torch.tensor([0, 1]))}, "evaluation of .* must be core.Examples"),
    "a list": ({"calibration": [torch.eye(2)]}, "calibration of .* must be core.Examples or None; got list"),
    "a tensor": ({"training": [[0.5]]}, "training of .* must be core.Examples or None"),
}


@pytest.mark.parametrize(("fields", "message"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_what_is_of_the_wrong_kind_is_named(hand, fields, message):
    with pytest.raises(SecateurError, match=message):
        replace(hand, **fields).check()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript_is_refused_and_the_mend_is_named(hand):
    with pytest.raises(SecateurError, match=r"is TorchScript, whose layers cannot be cut; give the nn.Module that"):
        replace(hand, model=torch.jit.trace(hand.model, torch.eye(2))).check()


def test_labels_in_a_list_are_refused():
    with pytest.raises(SecateurError, match=r"must be tensors, got list; torch.as_tensor makes one"):
        Examples(torch.eye(2), [0, 1])


def test_state_that_is_no_tensor_is_passed_over(hand):
    class Extra(type(hand.model)):
        def get_extra_state(self):
            return {"steps": float("nan")}

        def set_extra_state(self, state):
            pass

    replace(hand, model=Extra()).check()


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16])
def test_weights_of_few_bits_are_looked_at_too(hand, dtype):
    weight = hand.model.fc2.weight.detach().to(dtype)
    hand.model.fc2.weight = nn.Parameter(weight, requires_grad=False)
    hand.check()
    hand.model.fc2.weight.view(-1)[0] = float("nan")
    with pytest.raises(SecateurError, match=r"fc2.weight of hand holds 1 NaN"):
        hand.check()
