"""Padding, told by a mask by its name, decides no score; batches are no longer than they must be."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import (
    Examples,
    SecateurError,
    Workload,
    accuracy,
    agreement,
    cosine_to_dense,
    kl_from_dense,
    perplexity,
    sweep,
    token_accuracy,
    workload_of,
)
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.forwards.batches import batches_of
from core.sensitivity.measuring.measurement import Measurement
from core.workload.inputs.padding import counted, mask_name, padding_of

N, LONG = 30, 16
CPU = torch.device("cpu")


def _lengths(longest=LONG):
    return torch.tensor([2 + (5 * i) % (longest - 2) for i in range(N)])


def _given(seed=0, longest=LONG):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 20, (N, longest), generator=generator)
    mask = (torch.arange(longest) < _lengths(longest).unsqueeze(1)).long()
    return {"input_ids": ids * mask, "attention_mask": mask}


class Tagger(nn.Module):
    """A small encoder with a class for each token, or of the mean over tokens; it heeds its mask unless told not to."""

    def __init__(self, pooled=False, heeds=True):
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(20, 8)
        self.qkv = nn.Linear(8, 24)
        self.head = nn.Linear(8, 5)
        self.pooled, self.heeds = pooled, heeds

    def forward(self, input_ids, attention_mask):
        mask = attention_mask.bool() if self.heeds else torch.ones_like(attention_mask, dtype=torch.bool)
        x = self.words(input_ids)
        q, k, v = self.qkv(x).unsqueeze(1).chunk(3, -1)
        x = x + F.scaled_dot_product_attention(q, k, v, mask[:, None, None]).squeeze(1)
        if self.pooled:
            weight = mask.to(x.dtype).unsqueeze(-1)
            x = (x * weight).sum(1) / weight.sum(1)
        return self.head(x)


def _alone(model, given, i):
    """Outputs of one example without any padding: plain torch."""
    length = int(given["attention_mask"][i].sum())
    with torch.no_grad():
        return model.eval()(given["input_ids"][i : i + 1, :length], given["attention_mask"][i : i + 1, :length])[0]


def _halved(model):
    """The model with half of its head's weights zeroed, by hand."""
    cut = Tagger(model.pooled, model.heeds)
    cut.load_state_dict(model.state_dict())
    with torch.no_grad():
        weight = cut.head.weight
        weight.view(-1)[weight.abs().flatten().argsort(stable=True)[:20]] = 0
    return cut


PLAN = SparsityPlan((Cut("head", "weight", 0.5),))


def _measured(workload, replay=False):
    with Measurement(workload, None) as measurement:
        if replay:
            measurement.replay()
            assert not measurement.full_passes()
        outcome = measurement.measure(PLAN)
        return measurement.dense().value, outcome.metric.value, measurement.notes()


AGAINST_DENSE = {
    agreement: lambda dense, cut: (dense.argmax(-1) == cut.argmax(-1)).double().mean(),
    kl_from_dense: lambda dense, cut: F.kl_div(
        cut.log_softmax(-1), dense.log_softmax(-1), log_target=True, reduction="none"
    ).sum(-1).mean(),
    cosine_to_dense: lambda dense, cut: F.cosine_similarity(dense, cut, dim=-1).mean(),
}  # fmt: skip


@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize("make", AGAINST_DENSE)
def test_against_the_dense_model_only_positions_that_are_no_padding_count(make, replay):
    model, given = Tagger(), _given()
    workload = Workload("tagger", model, Examples(given), make(), batch_size=6)
    _, found, notes = _measured(workload, replay)
    cut = _halved(model)
    by_hand = np.mean([AGAINST_DENSE[make](_alone(model, given, i), _alone(cut, given, i)).item() for i in range(N)])
    assert found == pytest.approx(by_hand, abs=1e-6)
    assert not notes


def test_by_position_nothing_says_what_is_padding_and_it_counts_as_before():
    model, given = Tagger(), _given()
    workload = Workload("tagger", model, Examples(tuple(given.values())), agreement(), batch_size=6)
    with torch.no_grad():
        by_hand = (
            (model.eval()(**given).argmax(-1) == _halved(model).eval()(**given).argmax(-1)).double().mean(1).mean()
        )
    assert _measured(workload)[1] == pytest.approx(by_hand.item())


@pytest.mark.parametrize("make", [token_accuracy, perplexity])
def test_labels_of_padding_do_not_count_whatever_they_are(make):
    model, given = Tagger(), _given()
    labels = torch.randint(0, 5, (N, LONG), generator=torch.Generator().manual_seed(3))
    workload = Workload("tagger", model, Examples(given, labels), make(), batch_size=6)
    outputs = torch.cat([_alone(model, given, i) for i in range(N)])
    true = labels[given["attention_mask"].bool()]
    by_hand = (
        (outputs.argmax(-1) == true).double().mean() if make is token_accuracy else F.cross_entropy(outputs, true).exp()
    )
    assert _measured(workload)[0] == pytest.approx(by_hand.item(), rel=1e-5)


def test_scores_do_not_depend_on_how_much_padding_was_given(tmp_path):
    model, given = Tagger(pooled=True), _given()
    more = {name: F.pad(tensor, (0, 24)) for name, tensor in given.items()}
    labels = torch.stack([_alone(model, given, i).argmax() for i in range(N)])
    found = [
        sweep(Workload("t", model, Examples(each, labels), accuracy(), batch_size=6), workspace=tmp_path / str(i),
              sparsities=(0.5, 0.9))
        for i, each in enumerate((given, more))
    ]  # fmt: skip
    assert found[0].dense.value == found[1].dense.value == 1
    assert [cell.metric for cell in found[0].cells] == [cell.metric for cell in found[1].cells]


def test_batches_are_cut_to_one_of_few_lengths_and_no_example_loses_a_word():
    given = _given(longest=40)
    workload = Workload("tagger", Tagger(), Examples(given), agreement(), batch_size=3)
    batches = batches_of(workload, "all", 0)
    lengths = set()
    for i, positions in enumerate(batches.positions):
        ids, mask = batches.trimmed_inputs(i, CPU)
        assert ids.shape == mask.shape == batches.trimmed_counted(i, CPU).shape
        assert mask.sum(1).tolist() == _lengths(40)[positions].tolist()
        assert torch.equal(ids, given["input_ids"][positions, : ids.shape[1]])
        lengths.add(ids.shape[1])
    assert lengths <= {5, 10, 15, 20, 30, 40}
    assert len(lengths) > 1


def test_keys_and_order_of_batches_are_those_of_the_whole_data():
    examples = Examples(_given())
    long = Workload("tagger", Tagger(), examples, agreement(), batch_size=6)
    one, other = batches_of(long, "all", 0), batches_of(long, 12, 0)
    assert one.keys[0] == examples.take(one.positions[0]).fingerprint()
    assert other.keys == one.keys[: len(other)]


def test_a_model_that_does_not_heed_its_mask_is_measured_as_given_and_it_is_said():
    model, given = Tagger(pooled=True, heeds=False), _given()
    with torch.no_grad():
        labels = model.eval()(**given).argmax(1)
    dense, _, notes = _measured(Workload("deaf", model, Examples(given, labels), accuracy(), batch_size=6))
    assert dense == 1
    assert any("depends on how much padding stands behind it (up to" in note for note in notes)


def test_and_refused_where_the_padding_is_ours():
    given = _given()
    items = [
        {"input_ids": given["input_ids"][i, :n].tolist(), "attention_mask": [1] * n, "label": i % 5}
        for i, n in enumerate(_lengths().tolist())
    ]
    made = workload_of(Tagger(pooled=True, heeds=False), items, "accuracy")
    with pytest.raises(SecateurError, match=r"were padded here: let the model heed attention_mask"):
        _measured(made)
    assert not _measured(workload_of(Tagger(pooled=True), items, "accuracy"))[2]


class Windows(Tagger):
    def forward(self, input_ids, attention_mask):
        if input_ids.shape[1] % 8:
            raise ValueError("the length must be a multiple of 8")
        return super().forward(input_ids, attention_mask)


def test_a_model_that_takes_some_lengths_only_is_measured_as_given():
    given = _given()
    dense, _, notes = _measured(Workload("windows", Windows(), Examples(given), agreement(), batch_size=6))
    assert dense == 1
    assert "raises ValueError at length" in notes[0]


def test_an_example_that_is_all_padding_is_refused():
    given = _given()
    given["attention_mask"][4] = 0
    with pytest.raises(SecateurError, match="example 4 of t is all padding"):
        Workload("t", Tagger(), Examples(given), agreement()).check()


def test_a_decoder_has_a_mask_of_its_own():
    names = ("input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask")
    assert [mask_name(name, names) for name in (*names, "labels")] == [
        "attention_mask", "attention_mask", *["decoder_attention_mask"] * 3,
    ]  # fmt: skip
    assert mask_name("labels", names[:3]) is None
    assert mask_name("decoder_input_ids", names[:3]) is None
    short = torch.ones(2, 4).long()
    long = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]])
    examples = Examples(dict(zip(names, (long, long, short, short), strict=True)), short)
    padding = padding_of(examples, token_labels=True)
    length = padding.length(torch.tensor([0, 1]))
    assert length == {"attention_mask": 3, "decoder_attention_mask": 4}
    assert [x.shape[1] for x in padding.inputs(examples.inputs, length)] == [3, 3, 4, 4]
    assert counted(examples).shape == (2, 4)


def test_of_pairs_and_choices_the_longest_text_counts():
    mask = torch.zeros(3, 2, 16).long()
    for row, pair in enumerate(((3, 9), (2, 2), (16, 1))):
        for k, length in enumerate(pair):
            mask[row, k, :length] = 1
    examples = Examples({"input_ids": mask * 7, "attention_mask": mask}, torch.zeros(3))
    padding = padding_of(examples, token_labels=False)
    assert padding.longest(torch.tensor([0, 1])) == {"attention_mask": 9}
    assert [x.shape for x in padding.inputs(examples.inputs, {"attention_mask": 12})] == [(3, 2, 12)] * 2
    assert counted(examples) is None  # outputs are of examples


NOT_CUT = {
    "nothing is padding": {"input_ids": torch.ones(2, 4), "attention_mask": torch.ones(2, 4)},
    "a mask that is added": {"input_ids": torch.ones(2, 4), "attention_mask": torch.tensor([[0, 0, 0, -1e9]] * 2)},
    "a mask for each pair": {"input_ids": torch.ones(2, 4), "attention_mask": torch.zeros(2, 4, 4)},
    "a bias for each pair": {
        "input_ids": torch.ones(2, 4), "attention_mask": torch.tensor([[1, 1, 0, 0]] * 2), "bias": torch.ones(2, 4, 4),
    },
    "another name": {"input_ids": torch.ones(2, 4), "mask": torch.tensor([[1, 1, 0, 0]] * 2)},
}  # fmt: skip


@pytest.mark.parametrize("inputs", NOT_CUT.values(), ids=NOT_CUT)
def test_what_is_not_surely_padding_stays(inputs):
    assert padding_of(Examples(inputs), token_labels=False) is None


def test_a_bert_with_padding_is_what_each_text_alone_gives():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=4, intermediate_size=24,
        max_position_embeddings=LONG, num_labels=5,
    )  # fmt: skip
    model = transformers.BertForTokenClassification(config).eval()
    for parameter in model.parameters():
        parameter.data.mul_(4)
    given = _given()
    dense = [_logits(model, given, i) for i in range(N)]
    weight = model.classifier.weight.detach().clone()
    with torch.no_grad():
        model.classifier.weight.view(-1)[weight.abs().flatten().argsort(stable=True)[:40]] = 0
        same = [(_logits(model, given, i).argmax(-1) == dense[i].argmax(-1)).double().mean().item() for i in range(N)]
        model.classifier.weight.copy_(weight)
    workload = Workload("bert", model, Examples(given), agreement(), batch_size=6)
    with Measurement(workload, None) as measurement:
        measurement.replay()
        found = measurement.measure(SparsityPlan((Cut("classifier", "weight", 0.5),))).metric.value
        assert not measurement.full_passes()
        assert not measurement.notes()
    assert found == pytest.approx(np.mean(same), abs=1e-6)


def _logits(model, given, i):
    length = int(given["attention_mask"][i].sum())
    with torch.no_grad():
        return model(input_ids=given["input_ids"][i : i + 1, :length]).logits[0]
