"""What torch wraps around a model is taken off: its layers have their own names, and it can be exported."""

import pytest
import torch
from torch import nn

from core import Examples, Workload, accuracy
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.identity.unwrapped import unwrap_inside, unwrapped

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script_method")  # as torch.compile is imported


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


WRAPPED = {
    "compiled": torch.compile,
    "on several devices": nn.DataParallel,
    "both": lambda model: torch.compile(nn.DataParallel(model)),
    "both, the other way round": lambda model: nn.DataParallel(torch.compile(model)),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_a_wrapped_model_is_the_model_itself_and_said_to_be(how):
    model = net()
    workload = Workload("w", WRAPPED[how](model), Examples(torch.randn(6, 4), torch.arange(6) % 3), accuracy())
    assert workload.model is model
    assert workload.notes
    assert workload.notes[0].startswith("model: taken out of its ")
    assert model_fingerprint(workload.model) == model_fingerprint(net())


def test_layers_that_were_compiled_are_put_back_in_their_places():
    model = net()
    model[0] = torch.compile(model[0])
    model[2].compile()
    assert unwrap_inside(model) == 2
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in net().named_parameters()]
    assert model_fingerprint(model) == model_fingerprint(net())


def test_what_is_no_wrapper_is_left_alone():
    model = net()
    assert unwrapped(model) is model
    assert unwrap_inside(model) == 0
    workload = Workload("w", model, Examples(torch.randn(6, 4), torch.arange(6) % 3), accuracy())
    assert workload.notes == ()
