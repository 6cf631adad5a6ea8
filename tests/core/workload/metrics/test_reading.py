"""What a metric is given is understood, or refused by name with the function to use; it never gives a wrong number."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import (
    Examples,
    Metric,
    Scale,
    SecateurError,
    Workload,
    accuracy,
    agreement,
    binary_accuracy,
    binary_agreement,
    binary_cross_entropy,
    binary_f1,
    cosine_to_dense,
    cross_entropy,
    f1,
    kl_from_dense,
    label_accuracy,
    perplexity,
    pixel_accuracy,
    spearman,
    squared_error,
    sweep,
    token_accuracy,
    top_k,
)
from core.sensitivity.measuring.measurement import Measurement

LABELS = torch.tensor([0, 1, 2, 1])
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 3.0, 1.0], [0.5, 0.0, 0.2], [1.0, 0.0, 0.0]])
ONE = torch.tensor([0.3, -0.2, 1.5, -2.0])


def refusal(metric, outputs, reference):
    with pytest.raises(SecateurError) as told:
        metric.score_batch(outputs, reference, len(outputs) if isinstance(outputs, torch.Tensor) else 4)
    return str(told.value)


@pytest.mark.parametrize("make", [accuracy, f1, cross_entropy, lambda: top_k(2)])
@pytest.mark.parametrize("outputs", [ONE, ONE[:, None]], ids=["(n,)", "(n, 1)"])
def test_one_number_per_example_is_no_logits_of_classes(make, outputs):
    said = refusal(make(), outputs, torch.tensor([0, 1, 1, 0]))
    assert "binary_accuracy()" in said
    assert "squared_error()" in said


@pytest.mark.parametrize("make", [agreement, kl_from_dense])
@pytest.mark.parametrize("outputs", [ONE, ONE[:, None]], ids=["(n,)", "(n, 1)"])
def test_nor_are_they_beside_the_dense_ones(make, outputs):
    assert "binary_agreement()" in refusal(make(), outputs, outputs)


def test_labels_of_a_regression_are_no_classes():
    assert "squared_error()" in refusal(accuracy(), LOGITS, torch.tensor([0.5, 1.5, 2.0, 0.1]))
    assert "labels.argmax(1)" in refusal(cross_entropy(), LOGITS, F.one_hot(LABELS).float())


def test_labels_must_be_among_the_classes():
    said = refusal(accuracy(), LOGITS, LABELS + 1)
    assert "from 0 to 2" in said
    assert "from 1 to 3; subtract 1" in said
    assert "from -1 to 1; map them" in refusal(f1(), LOGITS, LABELS - 1)
    assert "from 0 to 9; map them" in refusal(cross_entropy(), LOGITS, torch.tensor([0, 9, 1, 1]))


@pytest.mark.parametrize("k", [3, 9])
def test_as_many_as_there_are_classes_is_always_right(k):
    assert "right whatever the model says" in refusal(top_k(k), LOGITS, LABELS)


@pytest.mark.parametrize("make", [cross_entropy, kl_from_dense])
def test_probabilities_are_no_logits(make):
    outputs = LOGITS.softmax(1)
    assert "take the softmax out" in str(make().unlike_logits(outputs))
    assert make().unlike_logits(LOGITS) is None
    assert cross_entropy().score_batch(outputs.log(), LABELS).tolist() == pytest.approx(
        cross_entropy().score_batch(LOGITS, LABELS).tolist(), rel=1e-5
    )
    assert accuracy().score_batch(outputs, LABELS).tolist() == [1, 1, 0, 0]  # the largest is the largest


def test_probabilities_of_one_class_are_no_logit():
    assert "threshold=0.5" in str(binary_accuracy().unlike_logits(ONE.sigmoid()))
    assert binary_accuracy(0.5).score_batch(ONE.sigmoid(), torch.tensor([0, 1, 1, 0])).tolist() == [0, 0, 1, 1]
    assert binary_accuracy(0.5).loss is None


def test_a_class_per_token_and_per_pixel_have_metrics_of_their_own():
    tokens, pixels = torch.randn(4, 5, 3), torch.randn(4, 3, 2, 2)
    assert "token_accuracy()" in refusal(accuracy(), tokens, LABELS)
    assert "pixel_accuracy()" in refusal(accuracy(), pixels, LABELS)
    assert "token_accuracy()" in refusal(accuracy(), tokens, torch.zeros(4, 5, dtype=torch.long))
    assert "movedim" in refusal(agreement(), pixels, pixels)
    assert "accuracy()" in refusal(perplexity(), LOGITS, LABELS)


def test_tokens_by_hand():
    outputs = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]])
    labels = torch.tensor([[0, 0, -100], [1, -100, -100]])
    metric = token_accuracy()
    assert metric.score_batch(outputs, labels).tolist() == [0.5, 1.0]
    assert metric.beside_scores(labels).tolist() == [2, 1]
    theirs = F.cross_entropy(outputs[:1, :2].flatten(0, 1), labels[0, :2])
    assert float(metric.losses(outputs, labels)[0]) == pytest.approx(float(theirs))


def test_pixels_by_hand():
    outputs = torch.zeros(1, 2, 2, 2)
    outputs[0, 1, 0] = 1.0  # class 1 in the upper row
    labels = torch.tensor([[[1, 0], [0, -100]]])
    assert pixel_accuracy().score_batch(outputs, labels).tolist() == [pytest.approx(2 / 3)]
    assert pixel_accuracy().beside_scores(labels).tolist() == [3]


def test_several_labels_at_once_by_hand():
    outputs, labels = torch.tensor([[1.0, -1.0, 2.0], [-1.0, -1.0, -1.0]]), torch.tensor([[1, 0, 0], [0, 0, 1]])
    assert label_accuracy().score_batch(outputs, labels).tolist() == pytest.approx([2 / 3, 2 / 3])
    assert "label_accuracy()" in refusal(accuracy(), outputs, labels)
    assert "of that shape" in refusal(label_accuracy(), outputs, labels[:, :2])


@pytest.mark.parametrize("outputs", [ONE, ONE[:, None]], ids=["(n,)", "(n, 1)"])
@pytest.mark.parametrize("labels", [torch.tensor([1, 1, 1, 0]), torch.tensor([1.0, 1.0, 1.0, 0.0])[:, None]])
def test_a_binary_classifier_by_hand(outputs, labels):
    assert binary_accuracy().score_batch(outputs, labels).tolist() == [1, 0, 1, 1]
    theirs = F.binary_cross_entropy_with_logits(ONE, labels.flatten().float(), reduction="none")
    assert torch.allclose(binary_cross_entropy().score_batch(outputs, labels), theirs)
    assert binary_f1().score_batch(outputs, labels).tolist() == [1, 0, 1, 0]
    assert binary_f1().beside_scores(labels).tolist() == [1, 1, 1, 0]
    assert binary_agreement().score_batch(-outputs, outputs).tolist() == [0, 0, 0, 0]
    assert "others: 2" in refusal(binary_accuracy(), outputs, torch.tensor([0, 1, 2, 0]))


def test_a_sweep_of_one_logit_says_what_plain_torch_says(tmp_path):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)).eval(), torch.randn(120, 8)
    with torch.no_grad():
        y = (model(x)[:, 0] + 0.1 * torch.randn(120) > 0).long()
        dense = ((model(x)[:, 0] > 0).long() == y).float().mean().item()
        cut = nn.Sequential(*[nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)]).eval()
        cut.load_state_dict(model.state_dict())
        weight = cut[0].weight.view(-1)
        weight[weight.abs().argsort(stable=True)[: round(0.9 * weight.numel())]] = 0
        pruned = ((cut(x)[:, 0] > 0).long() == y).float().mean().item()
    report = sweep(
        Workload("one-logit", model, Examples(x, y), binary_accuracy()), workspace=tmp_path, sparsities=(0.9,)
    )
    assert report.dense.value == pytest.approx(dense)
    assert report.cells[0].metric.value == pytest.approx(pruned)
    assert pruned < dense
    with pytest.raises(SecateurError, match=r"binary_accuracy\(\)"):
        sweep(Workload("one-logit", model, Examples(x, y), accuracy()), workspace=tmp_path, sparsities=(0.9,))


@dataclass
class Output:
    logits: torch.Tensor


@pytest.mark.parametrize(
    "wrap",
    [Output, lambda z: {"logits": z, "loss": None}, lambda z: {"out": z, "aux": z * 0}, lambda z: (z,), lambda z: [z]],
)
def test_logits_are_taken_out_of_what_holds_them(wrap):
    assert accuracy().score_batch(wrap(LOGITS), LABELS, 4).tolist() == [1, 1, 0, 0]
    assert agreement().score_batch(wrap(LOGITS), wrap(LOGITS), 4).tolist() == [1, 1, 1, 1]
    assert accuracy().losses(wrap(LOGITS), LABELS).shape == (4,)


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ((LOGITS, LOGITS.sum(1)), r"a tuple of 2: \(4, 3\), \(4,\)"),
        ({"scores": LOGITS}, "a dict of scores, none of them logits"),
        (object(), "a object without logits"),
        (LOGITS.argmax(1), "torch.int64"),
        (LOGITS.to(torch.complex64), "torch.complex64"),
    ],
)
def test_what_holds_none_is_refused_with_the_mend(outputs, said):
    with pytest.raises(SecateurError, match=said):
        accuracy().score_batch(outputs, LABELS, 4)
    with pytest.raises(SecateurError, match="wrap the model"):
        accuracy().score_batch(outputs, LABELS, 4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_of_short_logits_are_those_of_float32(dtype):
    outputs, labels = (20 * torch.randn(3, 7, 50)).to(dtype), torch.randint(50, (3, 7))
    theirs = F.cross_entropy(outputs.float().flatten(0, 1), labels.flatten(), reduction="none").view(3, 7).mean(1)
    assert torch.equal(perplexity().score_batch(outputs, labels), theirs)
    classes = outputs[:, 0]
    assert torch.equal(
        cross_entropy().score_batch(classes, labels[:, 0]),
        F.cross_entropy(classes.float(), labels[:, 0], reduction="none"),
    )


def test_examples_whose_label_does_not_count_are_left_out():
    x, y = torch.randn(6, 3), torch.tensor([0, -100, 1, 2, -100, 1])
    model = nn.Linear(3, 3)
    workload = Workload(
        "some", model, Examples(x, y), cross_entropy(), training=Examples(x + 9, y), columns={"site": list("abcdef")}
    )
    assert workload.evaluation.labels.tolist() == [0, 1, 2, 1]
    assert workload.training.labels.tolist() == [0, 1, 2, 1]
    assert workload.columns["site"] == ["a", "c", "d", "f"]
    assert workload.n_ignored == 2
    with Measurement(workload, None) as measurement:
        assert measurement.notes() == ("2 example(s) have no label that counts, and were left out.",)
    kept = y != -100
    with torch.no_grad():
        scores = workload.metric.score_batch(model(*workload.evaluation.inputs), workload.evaluation.labels)
        assert scores.mean() == pytest.approx(float(F.cross_entropy(model(x[kept]), y[kept])))
    with pytest.raises(SecateurError, match=r"has 1 example\(s\) \(5 more have no label that counts\)"):
        Workload("none", model, Examples(x, torch.tensor([0] + 5 * [-100])), accuracy()).check()


@pytest.mark.parametrize("shape", [(6,), (6, 4)])
def test_labels_of_which_none_counts_are_refused(shape):
    labels = torch.full(shape, -100)
    metric = accuracy() if len(shape) == 1 else perplexity()
    with pytest.raises(SecateurError, match="none of the labels of none counts, all are -100"):
        Workload("none", nn.Linear(3, 3), Examples(torch.randn(6, 3), labels), metric).check()


def test_passages_without_a_token_that_counts_are_left_out_too():
    labels = torch.tensor([[0, 1], [-100, -100], [1, -100]])
    workload = Workload("texts", nn.Linear(1, 1), Examples(labels.clamp(min=0), labels), perplexity())
    assert workload.evaluation.labels.tolist() == [[0, 1], [1, -100]]


def test_a_number_is_ranked_and_squared_and_vectors_are_not():
    labels = torch.tensor([0.0, 1.0, 2.0, 3.0])
    assert squared_error().score_batch(ONE[:, None], labels).tolist() == pytest.approx([0.09, 1.44, 0.25, 25.0])
    assert "cosine_to_dense()" in refusal(spearman(), LOGITS, labels)
    assert "spearman()" in refusal(cosine_to_dense(), ONE[:, None], ONE[:, None])


def test_a_declared_range_is_checked_on_real_scores():
    def metric(low, high, aggregate="mean"):
        scale = Scale("odd", "points", higher_is_better=True, low=low, high=high, aggregate=aggregate)
        return Metric(scale, lambda outputs, labels: outputs[:, 0])

    outputs = torch.tensor([[0.5], [1.5]])
    assert r"in [0.0, 1.0], and one is 1.5" in refusal(metric(0.0, 1.0), outputs, torch.zeros(2))
    assert "one is -0.5" in refusal(metric(0.0, None), outputs - 1, torch.zeros(2))
    assert metric(None, None).score_batch(outputs, torch.zeros(2)).tolist() == [0.5, 1.5]
    assert "one is -0.5" in refusal(metric(1.0, None, "exp_mean"), outputs - 1, torch.zeros(2))
    assert math.isnan(metric(0.0, 1.0).score_batch(outputs * math.nan, torch.zeros(2))[0])  # a cut may break a model


class OneLogit(nn.Module):
    """Whose cuts all say "0.3", as a probability would."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(8, 16, bias=False), nn.Linear(16, 1)
        nn.init.constant_(self.b.bias, 0.3)

    def forward(self, x):
        return self.b(self.a(x).relu())


@pytest.mark.parametrize("n", [41, 42, 81])  # a last batch of one or two examples
def test_a_cut_whose_logits_lie_between_0_and_1_is_measured(n, tmp_path):
    model = OneLogit()
    x = torch.randn(n, 8, generator=torch.Generator().manual_seed(n)) * 3
    with torch.no_grad():
        labels = (model(x).squeeze(1) > 0).long()
        alone = model(x[:1] * 0)
    assert 0 < alone.item() < 1
    report = sweep(
        Workload("one", model, Examples(x, labels), binary_accuracy(), batch_size=10), workspace=tmp_path,
        sparsities=(0.999,),
    )  # fmt: skip
    share = labels.float().mean().item()  # everything is class 1
    assert [cell.metric.value for cell in report.cells if cell.cut.target == "a"] == pytest.approx([share])


def test_one_example_with_a_small_logit_is_no_probability(tmp_path):
    model = nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(1.0)
        model.bias.fill_(0.0)
    x = torch.linspace(-1, 1, 21)[:, None]
    workload = Workload("one", model, Examples(x, (x[:, 0] > 0).long()), binary_accuracy(), batch_size=1)
    assert sweep(workload, workspace=tmp_path, sparsities=(0.5,)).dense.value == 1.0


@pytest.mark.parametrize("n", [4, 60])
def test_probabilities_of_a_dense_model_are_refused(n, tmp_path):
    model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    examples = Examples(torch.randn(n, 4), torch.arange(n) % 2)
    with pytest.raises(SecateurError, match="take the sigmoid out"):
        sweep(Workload("p", model, examples, binary_accuracy(), batch_size=10), workspace=tmp_path)
