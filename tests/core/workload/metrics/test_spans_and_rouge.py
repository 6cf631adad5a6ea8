"""F1 of spans and ROUGE of tokens, by hand; 1,800 random cases agreed with seqeval 1.2.2 and rouge_score 0.1.2."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import SecateurError, metric, span_f1, sweep, token_rouge, workload_of
from core.sensitivity.slices import _worth, drops_by_value
from core.sensitivity.statistics.bootstrap import UndefinedMetricError, drop_estimate, metric_estimate
from core.workload.metrics.tags import are_tags
from core.workload.scale import SPANS, packed, unpacked

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
O, B, I, L, J = range(5)  # noqa: E741
IOBES = ("O", "B-A", "I-A", "E-A", "S-A")


def logits_of(rows, n_classes):
    return F.one_hot(torch.tensor(rows), n_classes).float() * 9


def counts(names, said, true):
    """Predicted, matched and true spans of one text."""
    judge = span_f1(names)
    labels = torch.tensor([true])
    score = judge.score_batch(logits_of([said], len(names)), labels).double().numpy()
    predicted, matched = unpacked(score)
    return int(predicted[0]), int(matched[0]), int(judge.beside_scores(labels)[0])


@pytest.mark.parametrize(
    ("names", "said", "true", "expected"),
    [
        (BIO, [B, I, O, L], [B, I, O, L], (2, 2, 2)),
        (BIO, [B, O, O, L], [B, I, O, L], (2, 1, 2)),  # one is too short
        (BIO, [B, B, O, L], [B, I, O, L], (3, 1, 2)),  # one is cut in two
        (BIO, [I, I, O, O], [B, I, O, O], (1, 1, 1)),  # a span may begin with I-
        (BIO, [B, J, O, O], [B, I, O, O], (2, 0, 1)),  # another type is another span
        (BIO, [L, J, O, O], [B, I, O, O], (1, 0, 1)),
        (BIO, [O, O, O, O], [B, I, O, L], (0, 0, 2)),
        (BIO, [B, I, O, L], [O, O, O, O], (2, 0, 0)),
        (BIO, [O, O, O, O], [O, O, O, O], (0, 0, 0)),
        (BIO, [B, I, I, I], [B, I, -100, -100], (1, 1, 1)),  # what does not count is no part of a span
        (BIO, [B, L, I, O], [B, -100, I, O], (1, 1, 1)),  # the parts of a word behind its first
        (BIO, [O, B, I, I], [-100, B, I, I], (1, 1, 1)),
        (IOBES, [1, 2, 3, 4], [1, 2, 3, 4], (2, 2, 2)),
        (IOBES, [4, 4, 3, 2], [4, 4, 1, 3], (4, 2, 3)),
        (("B-A", "L-A", "O", "U-A", "I-A"), [0, 4, 1, 3], [0, 4, 1, 3], (2, 2, 2)),
        (("O", "B", "I"), [1, 2, 0, 1], [1, 2, 2, 1], (2, 1, 2)),
        (("O", "I-A"), [1, 0, 1, 1], [1, 0, 0, 1], (2, 1, 2)),
        (("O", "B_A", "I_A"), [1, 2, 2, 0], [1, 2, 2, 0], (1, 1, 1)),
    ],
)
def test_spans_are_counted_as_seqeval_reads_tags(names, said, true, expected):
    assert counts(names, said, true) == expected


def test_the_number_is_that_of_all_spans_together():
    judge, true = span_f1(BIO), torch.tensor([[B, I, O, L], [O, O, B, I], [O, O, O, O]])
    said = logits_of([[B, I, O, L], [O, O, B, O], [B, O, O, O]], 5)
    scores, truth = (x.double().numpy() for x in (judge.score_batch(said, true), judge.beside_scores(true)))
    assert metric_estimate(judge.scale, scores, truth).value == pytest.approx(2 * 2 / (4 + 3))
    perfect = judge.score_batch(logits_of(true.tolist(), 5), true).double().numpy()
    assert drop_estimate(judge.scale, perfect, scores, truth).value == pytest.approx(1 - 4 / 7)


def test_counts_are_packed_without_loss():
    predicted, matched = np.array([0, 1, SPANS - 1, SPANS - 1]), np.array([0, 1, SPANS - 1, 0])
    back = unpacked(packed(predicted, matched).astype(np.float32).astype(np.float64))
    assert (back[0] == predicted).all()
    assert (back[1] == matched).all()


def test_too_many_spans_in_a_text_are_refused():
    labels = torch.ones(2, SPANS, dtype=torch.long)
    with pytest.raises(SecateurError, match="fewer than 4096 spans of one text, got 4096; cut"):
        span_f1(("O", "B-A")).score_batch(logits_of(labels.tolist(), 2), labels)


def test_a_text_whose_outputs_are_no_numbers_has_no_score():
    outputs = logits_of([[B, I, O]] * 2, 5)
    outputs[1, 2, 0] = math.nan
    scores = span_f1(BIO).score_batch(outputs, torch.tensor([[B, I, O]] * 2))
    assert scores.isnan().tolist() == [False, True]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("O", "expects the names of the classes"),
        ((0, 1), "expects the names of the classes"),
        (("O", "PER"), "got 'PER'; rename the classes"),
        (("O", "B-"), "got 'B-'"),
        (("O", "b-per"), "got 'b-per'"),
        (("O",), "there is only O"),
        ((), "there is only O"),
    ],
)
def test_names_that_are_no_tags_are_refused(names, expected):
    with pytest.raises(SecateurError, match=expected):
        span_f1(names)


def test_as_many_names_as_the_model_has_classes():
    with pytest.raises(SecateurError, match="was given the names of 5 classes, and the model has 3; give a name"):
        span_f1(BIO).score_batch(torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.long))


def test_texts_without_any_span_have_no_f1():
    judge = span_f1(BIO)
    none = np.zeros(4)
    with pytest.raises(UndefinedMetricError, match="no span is predicted, and the labels have none"):
        metric_estimate(judge.scale, none, none)
    assert metric_estimate(judge.scale, none, np.array([2.0, 0, 1, 0])).value == 0


def test_where_nothing_differs_the_interval_is_as_wide_as_three_texts():
    judge, truth = span_f1(BIO), np.array([1.0, 2, 3, 4])
    same = packed(truth, truth)
    found = drop_estimate(judge.scale, same, same, truth)
    assert found.value == 0
    assert found.high == pytest.approx(9 / 10)


def test_the_interval_of_the_drop_covers_it():
    rng, held, judge = np.random.default_rng(0), 0, span_f1(BIO)
    for _ in range(200):
        truth = rng.integers(1, 5, 80).astype(float)
        dense, cut = rng.binomial(truth.astype(int), 0.9), rng.binomial(truth.astype(int), 0.7)
        found = drop_estimate(judge.scale, packed(truth, dense), packed(truth, cut), truth)
        held += found.low <= 0.2 <= found.high
    assert held / 200 > 0.9


def test_names_are_tags_only_without_a_doubt():
    assert are_tags(BIO)
    assert are_tags(IOBES)
    for names in (("O", "B", "I"), ("O", "I-A"), ("no", "yes"), ("O",), ("O", "B-A", "other"), ()):
        assert not are_tags(names)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.embedding, self.fc = nn.Embedding(20, 16), nn.Linear(16, 5)

    def forward(self, ids):
        return self.fc(self.embedding(ids))


def tagged(n=40):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(20, (n, 8), generator=generator)
    with torch.no_grad():
        labels = Tagger()(ids).argmax(-1)
    other = torch.randint(5, labels.shape, generator=generator)
    labels = torch.where(torch.rand(labels.shape, generator=generator) < 0.2, other, labels)
    return ids, labels.masked_fill(torch.rand(labels.shape, generator=generator) < 0.1, -100)


def spans_by_hand(tags):
    """Of names of tags, the plain way: type, first and last token."""
    found, open_ = set(), None
    for i, tag in enumerate([*tags, "O"]):
        letter, _, kind = tag.partition("-")
        if open_ and (letter in "OB" or kind != open_[0]):
            found.add((*open_, i - 1))
            open_ = None
        if letter != "O" and open_ is None:
            open_ = (kind, i)
    return found


def f1_by_hand(model, ids, labels):
    true_n = said_n = both = 0
    with torch.no_grad():
        chosen = model(ids).argmax(-1)
    for said, true in zip(chosen.tolist(), labels.tolist(), strict=True):
        kept = [(BIO[s], BIO[t]) for s, t in zip(said, true, strict=True) if t != -100]
        one, other = (spans_by_hand(column) for column in zip(*kept, strict=True))
        said_n, true_n, both = said_n + len(one), true_n + len(other), both + len(one & other)
    return 2 * both / (said_n + true_n)


def test_a_sweep_by_span_f1_is_what_plain_torch_gives(tmp_path):
    ids, labels = tagged()
    found = workload_of(Tagger(), (ids, labels), span_f1(BIO))
    report = sweep(found, workspace=tmp_path, sparsities=(0.5,), preview=False)
    assert report.dense.value == pytest.approx(f1_by_hand(Tagger(), ids, labels))
    assert len(report.cells) == 2
    for cell in report.cells:
        model = Tagger()
        weight = model.get_parameter(f"{cell.cut.target}.weight")
        with torch.no_grad():
            weight.view(-1)[weight.abs().flatten().argsort(stable=True)[: weight.numel() // 2]] = 0
        assert cell.metric.value == pytest.approx(f1_by_hand(model, ids, labels))
        assert cell.drop.value == pytest.approx(report.dense.value - cell.metric.value)
        assert cell.drop.low <= cell.drop.value <= cell.drop.high


def test_names_come_from_the_configuration_of_the_model():
    model = Tagger()
    model.config = type("Config", (), {"id2label": dict(enumerate(BIO))})()
    assert workload_of(model, tagged(), "span_f1").metric.scale.name == "span F1"
    with pytest.raises(SecateurError, match=r"needs the names of the classes, and the model has no config\.id2label"):
        workload_of(Tagger(), tagged(), "seqeval")


def rouge(n, said, true, symbols=9):
    return token_rouge(n).score_batch(logits_of([said], symbols), torch.tensor([true])).item()


@pytest.mark.parametrize(
    ("n", "said", "true", "expected"),
    [
        (1, [1, 2, 3, 4], [1, 2, 3, 4], 1),
        (1, [4, 3, 2, 1], [1, 2, 3, 4], 1),  # in any order
        (1, [1, 1, 1, 1], [1, 1, 2, 3], 2 / 4),  # each token is used up once
        (2, [1, 2, 4, 3], [1, 2, 3, 4], 1 / 3),
        (2, [1, 2, 1, 2], [2, 1, 2, 1], 2 / 3),
        (2, [1], [1], 0),  # no run of two
        ("l", [4, 3, 2, 1], [1, 2, 3, 4], 1 / 4),
        ("l", [1, 5, 2, 3], [1, 2, 3, 4], 3 / 4),
        ("l", [1, 2, 8, 4], [1, 2, -100, 4], 1),  # what does not count is left out of both
        (3, [1, 2, 3, 5], [1, 2, 3, 4], 1 / 2),
    ],
)
def test_rouge_is_what_two_rows_of_tokens_have_in_common(n, said, true, expected):
    assert rouge(n, said, true) == pytest.approx(expected)


def test_the_longest_common_subsequence_is_that_of_the_table():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        one, other = torch.randint(4, (2, 30), generator=generator).tolist()
        table = [[0] * 31 for _ in range(31)]
        for i in range(30):
            for j in range(30):
                best = max(table[i][j + 1], table[i + 1][j])
                table[i + 1][j + 1] = table[i][j] + 1 if one[i] == other[j] else best
        assert rouge("l", one, other) == pytest.approx(table[30][30] / 30)


@pytest.mark.parametrize("n", [0, -1, 1.5, "x", True, None])
def test_rouge_of_something_else_is_refused(n):
    with pytest.raises(SecateurError, match="expects a number of tokens, 1 or 2, or 'l'"):
        token_rouge(n)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rouge-L", "token_rouge_l compare"),
        ("ROUGE 1", "token_rouge_1"),
        ("mAP", "write core.Metric with a score per image"),
        ("mean average precision", "any number of boxes"),
        ("BLEU", "text is not generated here; perplexity"),
        ("wer", "text is not generated here"),
        ("spam_f1", "did you mean 'span_f1'"),
    ],
)
def test_what_an_example_has_no_number_for_is_refused_with_the_reason(name, expected):
    with pytest.raises(SecateurError, match=expected):
        metric(name)


def test_a_group_of_texts_has_its_own_f1():
    judge, truth = span_f1(BIO), np.array([1.0, 1, 2, 2])
    dense, cut = packed(truth, truth), packed(truth, np.array([1.0, 1, 0, 1]))
    found = drops_by_value(judge.scale, "site", ["a", "a", "b", "b"], dense, cut, truth)
    assert [(one.value, one.drop.value) for one in found] == [("b", pytest.approx(3 / 4)), ("a", 0)]


def test_broken_texts_are_those_whose_own_f1_fell():
    truth = np.array([1.0, 2, 0, 0])
    dense, cut = packed(truth, truth), packed(np.array([1.0, 2, 0, 1]), np.array([1.0, 1, 0, 0]))
    before, after = _worth(span_f1(BIO).scale, dense, cut, truth)
    assert before.tolist() == [1, 1, 1, 1]
    assert after.tolist() == [1, 0.5, 1, 0]
