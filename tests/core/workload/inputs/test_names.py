"""Inputs by name reach the parameters that they name, whatever order they came in."""

import copy
import io
import subprocess
import sys
from collections import UserDict
from dataclasses import replace

import pytest
import torch
from torch import nn

from core import (
    Cut,
    Examples,
    FineTuning,
    IterativePruner,
    PruningConfig,
    SecateurError,
    SparsityPlan,
    Workload,
    accuracy,
    export,
    load_workload,
    prune,
    sweep,
)
from core.workload.description import Description, describe
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.inputs.names import by_name, in_order, pairing
from core.workload.inputs.pairs import pairing_text

GAP = '''
import torch
from torch import nn
from core import Examples, Workload, accuracy


class Gap(nn.Module):
    """Takes `inputs_embeds` between the two inputs that it is given, and the mask by keyword alone."""

    def __init__(self):
        super().__init__()
        self.words, self.fc1, self.fc2 = nn.Embedding(20, 8), nn.Linear(8, 16), nn.Linear(16, 3)
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)

    def forward(self, input_ids, inputs_embeds=None, *, attention_mask=None, scale=1.0):
        x = self.words(input_ids) if inputs_embeds is None else inputs_embeds
        weight = attention_mask.to(x.dtype).unsqueeze(-1)
        return self.fc2(torch.relu(self.fc1((x * weight).sum(1) / weight.sum(1)))) * scale


def given(n, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 20, (n, 7), generator=generator)
    mask = (torch.arange(7) < torch.randint(1, 8, (n, 1), generator=generator)).long()
    return {"attention_mask": mask, "input_ids": ids}


def workload():
    model, evaluation, training = Gap(), given(60, 1), given(40, 2)
    labels = model(**evaluation).argmax(1).detach()
    return Workload(
        "gap", model, Examples(evaluation, labels), accuracy(), batch_size=20,
        training=Examples(training, torch.arange(40) % 3),
    )
'''


@pytest.fixture(scope="module")
def gap_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("gap") / "gap.py"
    path.write_text(GAP)
    return str(path)


@pytest.fixture
def gap(gap_file):
    return load_workload(gap_file)


class Row(nn.Module):
    """Its inputs are its first parameters in a row."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(4, 2)

    def forward(self, x, shift, scale=None):
        return self.fc(x) + shift * (1 if scale is None else scale)


class Spread(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(4, 2)

    def forward(self, a, b=None, c=None):
        return self.line(a) - 2 * self.line(c)


def test_names_are_put_in_the_order_of_forward_and_the_model_stays_itself_where_that_is_enough():
    model, x, shift = Row(), torch.randn(6, 4), torch.randn(6, 2)
    workload = Workload("row", model, Examples({"shift": shift, "x": x}, torch.arange(6) % 2), accuracy())
    assert workload.evaluation.names == ("x", "shift")
    assert workload.model is model
    assert torch.equal(workload.model(*workload.evaluation.inputs), model(x, shift))


def test_where_there_are_gaps_a_twin_gives_what_a_call_by_keyword_gives(gap):
    given = dict(zip(gap.evaluation.names, gap.evaluation.inputs, strict=True))
    plain = type(gap.model).__mro__[1]()
    assert gap.evaluation.names == ("input_ids", "attention_mask")
    assert torch.equal(gap.model(*gap.evaluation.inputs), plain(**given))
    assert torch.equal(gap.model(**given), plain(**given))  # and whoever calls it by keyword still can
    assert torch.equal(gap.model(*gap.evaluation.inputs, scale=2.0), plain(**given, scale=2.0))


def test_a_twin_shares_every_tensor_and_its_copies_are_twins_of_their_own(gap):
    plain = type(gap.model).__mro__[1]()
    twin = by_name(plain, ("input_ids", "attention_mask"))
    assert twin is not plain
    assert isinstance(twin, type(plain))
    assert [id(p) for p in twin.parameters()] == [id(p) for p in plain.parameters()]
    clone = copy.deepcopy(twin)
    assert type(clone) is type(twin)
    clone.fc1.weight.data.zero_()
    assert plain.fc1.weight.abs().sum() > 0
    assert by_name(clone, ("input_ids", "attention_mask")) is clone


def test_a_twin_can_be_saved_whole_and_loaded():
    names = ("c", "a")
    inputs = torch.rand(3, 4), torch.rand(3, 4)
    twin = by_name(Spread(), names)
    assert type(twin) is not Spread
    file = io.BytesIO()
    torch.save(twin, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert type(again) is type(twin)
    assert torch.equal(again(*inputs), Spread.forward(twin, inputs[1], c=inputs[0]))
    assert again.line.weight is not twin.line.weight


def test_a_cell_of_a_sweep_is_what_plain_torch_says(gap_file, gap, tmp_path):
    cell = next(c for c in sweep(gap_file, workspace=tmp_path, sparsities=(0.5,)).cells if c.cut.target == "fc1")
    model = type(gap.model).__mro__[1]()
    order = model.fc1.weight.detach().abs().flatten().argsort(stable=True)
    model.fc1.weight.data.view(-1)[order[:64]] = 0
    given = dict(zip(gap.evaluation.names, gap.evaluation.inputs, strict=True))
    by_hand = (model(**given).argmax(1) == gap.evaluation.labels).float().mean().item()
    assert cell.metric.value == pytest.approx(by_hand, abs=1e-7)


@pytest.mark.process
def test_two_processes_see_one_fingerprint(gap_file, gap):
    script = (
        "import sys; from core import load_workload; from core.workload.identity.fingerprint import model_fingerprint;"
        "w = load_workload(sys.argv[1]); print(model_fingerprint(w.model), w.evaluation.fingerprint())"
    )
    ours = f"{model_fingerprint(gap.model)} {gap.evaluation.fingerprint()}"
    run = subprocess.run([sys.executable, "-c", script, gap_file], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ours


def test_another_order_is_another_model_and_names_are_part_of_the_data(gap):
    plain = type(gap.model).__mro__[1]()
    assert model_fingerprint(gap.model) != model_fingerprint(plain)
    positional = Examples(gap.evaluation.inputs, gap.evaluation.labels)
    assert positional.fingerprint() != gap.evaluation.fingerprint()


@pytest.mark.process
def test_a_smaller_model_is_written_in_every_format_and_read_by_fresh_processes(gap_file, tmp_path):
    made = prune(gap_file, SparsityPlan((Cut("fc1", "channel", 0.5),)), form="shrunk")
    manifest = export(made, tmp_path / "out", formats=["pt2", "onnx", "int8"])
    assert set(manifest["formats"]) == {"safetensors", "pt2", "onnx", "int8"}
    onnx = pytest.importorskip("onnx")
    assert [i.name for i in onnx.load(tmp_path / "out" / "model.onnx").graph.input] == ["input_ids", "attention_mask"]


def test_recovery_trains_a_twin(gap_file):
    made = IterativePruner(0.0, 0.5, 1).run(gap_file, FineTuning(epochs=1))
    assert len(made.history) >= 1


def test_a_pruned_model_can_be_called_as_its_users_do(gap_file, gap):
    made = prune(gap_file, PruningConfig(target_sparsity=0.5)).model
    given = dict(zip(gap.evaluation.names, gap.evaluation.inputs, strict=True))
    assert torch.equal(made(**given), made(*gap.evaluation.inputs))


def test_a_tokenizers_dictionary_is_taken_though_it_is_no_dict():
    encoding = UserDict(x=torch.zeros(3, 4), shift=torch.zeros(3, 2))
    assert Examples(encoding, torch.zeros(3)).names == ("x", "shift")


def test_names_stay_with_rows_and_batches():
    examples = Examples({"x": torch.arange(6.0).view(3, 2), "y": torch.zeros(3)}, torch.arange(3))
    assert examples.first(2).names == examples.take(torch.tensor([2])).names == ("x", "y")
    assert [batch.names for batch in examples.batches(2)] == [("x", "y")] * 2


def _row(**inputs):
    return Workload("row", Row(), Examples(inputs, torch.zeros(3).long()), accuracy())


class Batched(nn.Module):
    def forward(self, batch):
        return batch["x"]


ROWS = {"x": torch.zeros(3, 4), "shift": torch.zeros(3, 2)}
WRONG = {
    "a name that is near": (
        lambda: _row(x=ROWS["x"], shifts=ROWS["shift"]),
        "takes no input 'shifts'; did you mean 'shift'",
    ),
    "a name too many": (
        lambda: _row(**ROWS, token_type_ids=ROWS["x"]),
        "takes no input 'token_type_ids'; leave it out",
    ),
    "one dictionary": (
        lambda: Workload("b", Batched(), Examples(ROWS, torch.zeros(3).long()), accuracy()),
        "wrap the model in a module whose forward takes x, shift and makes batch of them",
    ),
    "a name too few": (lambda: _row(x=ROWS["x"]), "needs 'shift', and the inputs are x; add it"),
    "lists": (lambda: Examples({"x": [[1, 2]]}, torch.zeros(1)), "'x' must be a tensor, got list; a tokenizer gives"),
    "text": (lambda: Examples({"x": torch.zeros(1), "text": ["a"]}), "'text' must be a tensor, got list"),
    "None": (lambda: Examples({"x": None}), "'x' must be a tensor, got NoneType"),
    "no name": (lambda: Examples({0: torch.zeros(1)}), "names of inputs must be strings, got 0"),
    "nothing": (lambda: Examples({}), "got neither"),
    "labels inside": (lambda: Examples({**ROWS, "labels": torch.zeros(3)}), "'labels' stand among the inputs"),
    "other lengths": (lambda: Examples({"x": torch.zeros(2), "y": torch.zeros(3)}), r"got \[2, 3\]"),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_what_forward_cannot_take_is_refused_in_one_line_with_the_mend(make, message):
    with pytest.raises(SecateurError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_roles_with_other_inputs_are_refused():
    with pytest.raises(SecateurError, match="the training examples of row have inputs by position, the evaluation"):
        replace(_row(**ROWS), training=Examples((ROWS["x"] + 1, ROWS["shift"]), torch.zeros(3).long()))
    with pytest.raises(SecateurError, match="the calibration examples of row have x, the evaluation examples x, shift"):
        replace(_row(**ROWS), calibration=Examples({"x": ROWS["x"] + 1}, torch.zeros(3).long()))


class Anything(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, **batch):
        return self.fc(batch["b"]) - batch["a"]


class ByPosition(nn.Module):
    def forward(self, *inputs):
        return inputs[0]


def test_a_forward_that_takes_any_keywords_gets_them():
    model, a, b = Anything(), torch.randn(3, 2), torch.randn(3, 4)
    workload = Workload("any", model, Examples({"a": a, "b": b}, torch.zeros(3).long()), accuracy())
    assert torch.equal(workload.model(*workload.evaluation.inputs), model(a=a, b=b))


def test_a_forward_that_takes_inputs_by_position_alone_is_told_so():
    with pytest.raises(SecateurError, match="inputs by position alone; give a tuple"):
        in_order(ByPosition(), ("x",))


def test_what_cannot_have_a_twin_is_refused_with_the_mend():
    model = Anything()
    model.forward = lambda **batch: batch["a"]
    with pytest.raises(SecateurError, match=r"was put on the object, or was traced; wrap it in a module whose forward"):
        by_name(model, ("a", "b"))


def test_the_pairing_is_shown_by_position_and_by_name():
    by_place = Workload("row", Row(), Examples((ROWS["x"], ROWS["shift"]), torch.zeros(3).long()), accuracy())
    text = pairing_text(pairing(by_place.model, by_place.evaluation))
    assert text == "inputs by position: x (3, 4) float32, shift (3, 2) float32"
    described = describe("row", _row(**ROWS))
    assert pairing_text(described.inputs) == "inputs by name: x (3, 4) float32, shift (3, 2) float32"
    fields = described.to_json()
    assert Description.from_json(fields) == described
    del fields["inputs"]
    assert Description.from_json(fields).inputs == ()  # of a workspace from before they were kept
    assert pairing(ByPosition(), by_place.evaluation)[1].parameter == "*inputs"
    many = Examples((ROWS["x"],) * 4, torch.zeros(3))
    assert pairing(Row(), many)[3].parameter == "none: forward takes 3"


@pytest.fixture(scope="module")
def bert():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=4, intermediate_size=24,
        max_position_embeddings=16, num_labels=3,
    )  # fmt: skip
    model = transformers.BertForSequenceClassification(config).eval()
    for parameter in model.parameters():
        parameter.data.mul_(8)  # so that types and masks decide something
    mask = (torch.arange(8) < torch.arange(2, 34).remainder(7).add(2).unsqueeze(1)).long()
    types = (torch.arange(8) > 3).long().expand(32, 8).clone() * mask
    ids = torch.randint(1, 40, (32, 8))
    return model, transformers.BatchEncoding({"input_ids": ids, "token_type_ids": types, "attention_mask": mask})


def test_a_bert_by_name_scores_as_in_plain_torch_and_by_position_its_pairing_is_shown(bert):
    model, encoding = bert
    with torch.no_grad():
        right = model(**encoding).logits
        swapped = model(*encoding.values()).logits
    assert not torch.equal(right.argmax(1), swapped.argmax(1))  # the mask is read as token types, and nobody says so
    labels = right.argmax(1)
    labels[::3] = (labels[::3] + 1) % 3
    named = Workload("bert", model, Examples(encoding, labels), accuracy(), batch_size=8)
    empty = prune(named, SparsityPlan()).measurement.dense
    assert empty.value == pytest.approx((right.argmax(1) == labels).float().mean().item())
    by_place = Workload("bert", model, Examples(tuple(encoding.values()), labels), accuracy(), batch_size=8)
    assert prune(by_place, SparsityPlan()).measurement.dense.value == pytest.approx(
        (swapped.argmax(1) == labels).float().mean().item()
    )
    assert [one.parameter for one in pairing(by_place.model, by_place.evaluation)] == [
        "input_ids", "attention_mask", "token_type_ids",
    ]  # fmt: skip


def test_a_bert_with_a_gap_scores_as_in_plain_torch(bert):
    model, encoding = bert
    places = torch.arange(8).flip(0).expand(32, 8).contiguous()
    given = {"position_ids": places, "input_ids": encoding["input_ids"], "attention_mask": encoding["attention_mask"]}
    with torch.no_grad():
        labels = model(**given).logits.argmax(1)
    named = Workload("bert", model, Examples(given, labels), accuracy(), batch_size=8)
    assert named.model is not model
    assert prune(named, SparsityPlan()).measurement.dense.value == 1.0
