"""A model's fingerprint changes with all that its outputs depend on, and with nothing else."""

import copy

import pytest
import torch
from torch import nn

from core import load_workload
from core.workload.identity.fingerprint import model_fingerprint


def test_a_copy_has_the_same_fingerprint(any_workload):
    assert model_fingerprint(copy.deepcopy(any_workload.model)) == model_fingerprint(any_workload.model)


def test_training_mode_and_gradients_do_not_count(conv):
    before = model_fingerprint(conv.model)
    conv.model.train().requires_grad_(False)
    assert model_fingerprint(conv.model) == before


def smallest_step(tensor):
    with torch.no_grad():
        tensor.view(-1)[0] = torch.nextafter(tensor.view(-1)[0], torch.tensor(torch.inf))


def test_the_last_bit_of_one_weight_counts(conv):
    before = model_fingerprint(conv.model)
    smallest_step(conv.model.conv2.weight)
    assert model_fingerprint(conv.model) != before


def test_the_last_bit_of_one_buffer_counts(conv):
    before = model_fingerprint(conv.model)
    smallest_step(conv.model.bn2.running_mean)
    assert model_fingerprint(conv.model) != before


def test_the_dtype_counts():
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.fill_(1), layer.bias.fill_(1)
    assert model_fingerprint(layer) != model_fingerprint(copy.deepcopy(layer).double())


def heads(n):
    torch.manual_seed(0)
    return nn.MultiheadAttention(8, n)


def layer(**options):
    torch.manual_seed(0)
    return nn.TransformerEncoderLayer(8, 2, 16, **options)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (heads(2), heads(4)),
        (layer(norm_first=False), layer(norm_first=True)),
        (layer(activation="relu"), layer(activation="gelu")),
        (layer(activation="relu"), layer(activation=torch.tanh)),
    ],
    ids=["heads", "norm_first", "activation by name", "activation"],
)
def test_settings_that_a_module_does_not_print_count(one, other):
    assert repr(one) == repr(other)
    assert model_fingerprint(one) != model_fingerprint(other)


def test_tied_weights_are_not_the_same_as_equal_ones(tied_lm):
    """A cut of a tied weight cuts both layers, so its evidence is of no use when they are untied."""
    untied = copy.deepcopy(tied_lm.model)
    untied.head.weight = nn.Parameter(untied.head.weight.detach().clone())
    assert model_fingerprint(untied) != model_fingerprint(tied_lm.model)


def test_the_code_of_a_forward_counts(net_file):
    before = model_fingerprint(load_workload(str(net_file)).model)
    assert model_fingerprint(load_workload(str(net_file)).model) == before
    net_file.write_text(net_file.read_text().replace("torch.relu", "torch.tanh"))
    assert model_fingerprint(load_workload(str(net_file)).model) != before


def test_files_of_one_name_in_two_folders_keep_their_own_code(net_file, write_file):
    one = load_workload(str(net_file)).model
    before = model_fingerprint(one)
    other = write_file("elsewhere/net.py", net_file.read_text().replace("torch.relu", "torch.tanh"))
    assert model_fingerprint(load_workload(str(other)).model) != before
    assert model_fingerprint(one) == before
