"""Where targets lie in the export: the samples wholly, and small models of the kinds that lie otherwise."""

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.graph.network import INPUT, OUTPUT, Network
from core.graph.traced import network_of
from core.pruning.structure import find_structure
from core.workload.discovery import find_targets
from core.workload.loading import load_workload, sample_names
from tests import tiny_models


def network(model: nn.Module, *inputs: Tensor) -> Network:
    targets, _ = find_targets(model.eval())
    return network_of(model, inputs, targets)


def op_at(found: Network, target: str, granularity: str = "weight") -> str:
    place = found.place(granularity, target)
    (one,) = [operation for operation in found.operations if operation.name == place.operation]
    return one.op


@pytest.mark.parametrize("name", sample_names())
def test_every_target_of_a_sample_lies_in_one_node_of_its_export(name):
    workload = load_workload(name)
    inputs = tuple(workload.evaluation.inputs)
    targets = find_structure(workload.model, inputs).targets
    found = network_of(workload.model, inputs, targets)
    names = Counter(operation.name for operation in found.operations)
    assert found.reason is None
    assert set(names.values()) == {1}
    assert [(place.granularity, place.target) for place in found.places] == [(t.granularity, t.name) for t in targets]
    assert {place.operation for place in found.places} <= set(names)
    paths = {operation.name: operation.path for operation in found.operations}
    for target in targets:
        place = found.place(target.granularity, target.name)
        if target.granularity in ("weight", "channel"):
            assert paths[place.operation] == target.name
        else:
            assert f"{paths[place.operation]}.".startswith(f"{target.layer or target.name}.")
    assert Network.from_json(found.to_json()) == found


def test_a_module_that_is_called_twice_lies_where_it_is_called_first():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x):
            return self.fc(torch.relu(self.fc(x)))

    found = network(Twice(), torch.randn(3, 4))
    place = found.place("weight", "fc")
    assert (place.operation, place.others) == ("linear", ("linear_1",))


def test_weights_that_only_a_function_uses_lie_where_it_is_called():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.conv = nn.Linear(4, 5), nn.Conv1d(1, 2, 3)

        def forward(self, x):
            y = F.linear(x, self.fc.weight * 1.0, self.fc.bias)
            return F.conv1d(y[:, None], self.conv.weight)

    found = network(Functional(), torch.randn(3, 4))
    assert (op_at(found, "fc"), op_at(found, "conv")) == ("aten.linear.default", "aten.conv1d.default")


def test_tied_weights_lie_in_their_own_module_and_are_read_elsewhere():
    workload = tiny_models.tied_lm()
    found = network(workload.model, *workload.evaluation.inputs)
    place = found.place("weight", "tokens")
    assert op_at(found, "tokens") == "aten.embedding.default"
    assert [one.op for one in found.operations if one.name in place.others] == ["aten.linear.default"]


def test_all_weights_of_an_lstm_lie_in_the_lstm():
    class Read(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 4, batch_first=True)
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(self.lstm(x)[0][:, -1])

    found = network(Read(), torch.randn(2, 5, 3))
    places = {place.operation for place in found.places if place.target.startswith("lstm")}
    assert len(places) == 1
    assert op_at(found, found.places[0].target) == "aten.lstm.input"
    assert op_at(found, "fc") == "aten.linear.default"


def test_modules_of_a_list_lie_apart():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

        def forward(self, x):
            for layer in self.layers:
                x = torch.relu(layer(x))
            return x

    found = network(Listed(), torch.randn(2, 4))
    assert [place.operation for place in found.places] == ["linear", "linear_1", "linear_2"]
    assert [one.op for one in found.operations][:1] == [INPUT]
    assert found.operations[-1].op == OUTPUT
    assert found.operations[-1].inputs == ("relu_2",)


def test_a_convolution_of_one_dimension_as_gpt_2_stores_it_lies_in_its_addmm():
    class Conv1D(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.zeros(6))

        def forward(self, x):
            size = (*x.size()[:-1], 6)
            return torch.addmm(self.bias, x.view(-1, 4), self.weight).view(size)

    model = nn.Sequential(Conv1D(), nn.GELU())
    found = network(model, torch.randn(2, 3, 4))
    assert [one.op for one in found.operations if one.path == "0"] == [
        "aten.view.default", "aten.addmm.default", "aten.view.default",
    ]  # fmt: skip
    assert op_at(found, found.places[0].target) == "aten.addmm.default"


def test_positions_that_nobody_gave_are_read_by_their_embedding():
    class Placed(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(9, 4), nn.Embedding(6, 4)
            self.fc = nn.Linear(4, 2)

        def forward(self, codes):
            return self.fc(self.tokens(codes) + self.places(torch.arange(codes.shape[1])))

    found = network(Placed(), torch.randint(9, (2, 6)))
    assert [op_at(found, name) for name in ("tokens", "places")] == ["aten.embedding.default"] * 2
    assert found.place("weight", "places").operation != found.place("weight", "tokens").operation


def test_what_no_operation_reads_lies_nowhere_and_says_so():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x):
            return self.used(x)

    place = network(Spare(), torch.randn(2, 4)).place("weight", "spare")
    assert place.operation is None
    assert "no operation" in place.reason


def test_a_model_that_cannot_be_exported_is_the_tree_of_its_modules_with_the_reason():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            x = self.first(x)
            return self.second(x if x.sum() > 0 else -x)

    found = network(Branching(), torch.randn(2, 4))
    assert "torch.export" in found.reason
    assert [(one.name, one.op, one.inputs) for one in found.operations] == [
        ("first", "Linear", ()), ("second", "Linear", ()),
    ]  # fmt: skip
    assert [place.operation for place in found.places] == ["first", "second"]


def test_drawing_changes_no_bit_of_the_model():
    workload = tiny_models.conv()
    before = {name: tensor.clone() for name, tensor in workload.model.state_dict().items()}
    network(workload.model, *workload.evaluation.inputs)
    assert all(torch.equal(tensor, before[name]) for name, tensor in workload.model.state_dict().items())
    assert not workload.model.training
