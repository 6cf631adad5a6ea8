"""`secateur check`: what would go wrong in long work is told before, each with its mend."""

import json

import pytest
import torch
from torch import nn

from core import Examples, Workload, accuracy, binary_accuracy
from core.sensitivity.checking.checkup import check_up
from tests.core.cli.running import document_of, refused, secateur

pytestmark = [
    pytest.mark.model,
    pytest.mark.usefixtures("own_folder"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.script_method"),  # as torch.compile is imported
]


def examples(n=80, seed=0):
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))
    return Examples(x, x[:, :3].argmax(1))


class Net(nn.Module):
    """Right on every example of `examples`, with a hidden layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6, bias=False)
        self.last = nn.Linear(6, 3, bias=False)
        self.first.weight.data = torch.eye(6)
        self.last.weight.data = torch.eye(6)[:3]

    def forward(self, x):
        return self.last(self.first(x))


def looked_at(model, data=None, again=None):
    return check_up(Workload("net", model.eval(), data or examples(), accuracy()), again)


def complaints_of(found):
    return " | ".join(complaint.what for complaint in found.complaints)


def test_a_sound_model_is_told_what_a_sweep_takes():
    found = looked_at(Net())
    assert found.top.startswith("net can be measured")
    assert found.share == 1.0
    assert not any(complaint.stops for complaint in found.complaints)
    assert found.seconds is not None
    assert any(line.startswith("a sweep: 20 cells on 80 examples") for line in found.found)
    assert "metric: accuracy 100" in " ".join(found.found)


def test_few_examples_are_told_how_many_it_takes():
    assert "80 examples cannot tell" in complaints_of(looked_at(Net()))


def test_a_model_of_which_little_can_be_cut_says_so_on_top():
    class Mostly(Net):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.ones(900))

        def forward(self, x):
            return super().forward(x) * self.table.mean()

    found = looked_at(Mostly())
    assert found.share == pytest.approx(54 / 954)
    assert "only 6 % of its weights can be cut" in found.top or "only 5.7 %" in found.top


def test_outputs_that_differ_the_second_time_stop_everything():
    class Random(Net):
        def forward(self, x):
            return super().forward(x) + torch.rand(len(x), 3)

    found = looked_at(Random())
    assert "two passes of net over the same examples differ" in complaints_of(found)
    assert found.top == "net cannot be measured as it is."


def test_outputs_that_depend_on_the_rest_of_the_batch_are_told():
    class Batch(Net):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    found = looked_at(Batch())
    assert "depends on the others in its batch" in complaints_of(found)
    assert found.top == "net cannot be measured as it is."


def test_a_model_that_does_not_run_is_told_in_a_line():
    class Raises(Net):
        def forward(self, x):
            raise ValueError("no")

    found = looked_at(Raises())
    assert "raised ValueError on its evaluation data: no" in complaints_of(found)
    assert found.top == "net cannot be measured as it is."


def test_labels_in_another_order_look_worse_than_the_commonest_class():
    data = examples()
    assert "the commonest class" in complaints_of(looked_at(Net(), Examples(data.inputs, (data.labels + 1) % 3)))


def test_examples_that_lie_sorted_by_class_are_no_commonest_class():
    data = examples(2000)
    order = data.labels.argsort()
    labels = data.labels[order]
    labels[::20] = (labels[::20] + 1) % 3  # right on 95 %
    found = looked_at(Net(), Examples(data.inputs[0][order], labels))
    assert "commonest" not in complaints_of(found)


@pytest.mark.parametrize("labels", [torch.float32, torch.bool, torch.int64])
@pytest.mark.parametrize("wrong", [False, True])
def test_labels_of_one_logit_may_be_of_any_type(labels, wrong):
    x = examples(400).inputs[0]
    truth = (x[:, 0] > 0) ^ wrong
    net = nn.Sequential(nn.Linear(6, 1, bias=False))
    net[0].weight.data = torch.eye(6)[:1]
    found = check_up(Workload("net", net, Examples(x, truth.to(labels)), binary_accuracy()))
    assert ("the commonest class" in complaints_of(found)) is wrong


def test_another_model_or_other_data_in_the_second_load_stop_everything():
    other = Net()
    other.first.weight.data += 1
    found = looked_at(Net(), again=lambda: Workload("net", other, examples(seed=1), accuracy()))
    assert "the model is another" in complaints_of(found)
    assert "the evaluation data are others" in complaints_of(found)


def test_the_model_is_left_as_it_was():
    model = Net()
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    check_up(Workload("net", model, examples(), accuracy()))
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


FILE = """
import torch
from torch import nn
from core import Examples, Workload, accuracy

def workload():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.{middle}, nn.Linear(8, 3))
    x = torch.randn(60, 4)
    return Workload("mine", {model}, Examples(x, model(x).argmax(1)), accuracy())
"""


def test_the_command_prints_it_and_gives_one_document(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE.format(middle="ReLU()", model="torch.compile(model.eval())"))
    done = secateur("check", file)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.rstrip().splitlines()[-1].startswith("mine can be measured")
    assert "model: taken out of its OptimizedModule" in done.stdout
    assert "loaded twice: the same weights and the same data" in done.stdout
    document = document_of("check", file)
    assert document["name"] == "mine"
    assert document["top"].startswith("mine can be measured")


def test_the_command_ends_with_2_where_nothing_can_be_measured(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE.format(middle="ReLU()", model="model.eval()").replace("torch.manual_seed(0)", "torch.seed()"))
    done = secateur("check", file, "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["top"] == "mine cannot be measured as it is."
    file.write_text("nonsense")
    assert "raised NameError" in refused("check", file)


def test_a_file_with_classes_of_its_own_is_loaded_twice_and_is_the_same(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\nfrom torch import nn\nimport core\n\n"
        "class Mine(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc = nn.Linear(4, 2)\n"
        "    def forward(self, x):\n"
        "        return self.fc(x)\n\n"
        "def workload():\n"
        "    torch.manual_seed(0)\n"
        "    x = torch.randn(60, 4)\n"
        "    model = Mine().eval()\n"
        "    return core.Workload('mine', model, core.Examples(x, model(x).argmax(1)), core.accuracy())\n"
    )
    assert "loaded twice: the same weights and the same data" in secateur("check", str(file)).output
    file.write_text(file.read_text().replace("    torch.manual_seed(0)\n", ""))
    drawn = secateur("check", str(file))
    assert drawn.exit_code == 2
    assert "loaded twice, the model is another" in drawn.output


def test_times_below_a_second_are_told():
    found = looked_at(Net()).found
    assert any(line.startswith("a batch of ") and line.endswith(" ms") for line in found), found


def test_a_folder_or_weights_named_as_they_are_say_what_to_type(tmp_path):
    (tmp_path / "my-bert").mkdir()
    (tmp_path / "w.pth").write_bytes(b"x")
    folder = str(tmp_path / "my-bert")
    assert f"is named hf:{folder}" in refused("check", folder)
    assert f"is named hf:{folder}" in refused("sweep", folder, "--data", "test.csv")
    assert "holds weights and not the model" in refused("targets", str(tmp_path / "w.pth"))
    (tmp_path / "my-bert" / "modules.json").write_text("[]")
    assert f"is named st:{folder}" in refused("check", folder)


def test_each_finding_is_told_as_it_is_made():
    model, told = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.1), nn.ReLU(), nn.Linear(8, 3)), []
    workload = Workload("net", model.eval(), examples(), accuracy())
    order = []

    def again():
        order.append(len(told))
        return workload

    found = check_up(workload, again, told.append)
    assert order == [0]
    assert [one for one in told if isinstance(one, str)] == list(found.found)
    assert [one for one in told if not isinstance(one, str)] == list(found.complaints)
    assert told[0] == "loaded twice: the same weights and the same data"
