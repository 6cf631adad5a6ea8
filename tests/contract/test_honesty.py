"""Promises that no architecture tells: what is not fit to be measured is refused, and what was measured stays true."""

import math
import sqlite3
from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import (
    Examples,
    Metric,
    Scale,
    SecateurError,
    Workload,
    accuracy,
    agreement,
    cross_entropy,
    f1,
    find_structure,
    kl_from_dense,
    label_accuracy,
    perplexity,
    pixel_accuracy,
    sweep,
    top_k,
)
from tests.contract import by_hand
from tests.contract.architectures import made
from tests.contract.case import Case, Made, N, classes, stirred
from tests.evidence_rows import reseal, rewrite

LOGIT = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 1))
FOUR = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 4))
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(1))


def _swept(model: nn.Module, labels: Tensor | None, metric: Metric, folder, **fields: object):
    examples = Examples(X.clone()) if labels is None else Examples(X.clone(), labels)
    workload = Workload("net", model, examples, metric, batch_size=5)
    return sweep(workload, workspace=folder, sparsities=(0.5,), samples="all", threads=1, **fields)


@pytest.mark.parametrize(
    ("model", "labels", "metric"),
    [
        (LOGIT, classes(2), accuracy()),
        (LOGIT, classes(2), f1()),
        (LOGIT, None, agreement()),
        (LOGIT, None, kl_from_dense()),
        (LOGIT, torch.randn(N), accuracy()),
        (FOUR, classes() + 1, accuracy()),
        (FOUR, classes() + 1, cross_entropy()),
        (FOUR, classes(), top_k(9)),
        (FOUR, classes(), top_k(4)),
        (FOUR, classes(), perplexity()),
        (FOUR, classes(), pixel_accuracy()),
        (FOUR, torch.full((N, 4), 2), label_accuracy()),
        (nn.Sequential(FOUR, nn.Softmax(1)), classes(), cross_entropy()),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(model, labels, metric, tmp_path):
    with pytest.raises(SecateurError, match=metric.scale.name.replace("(", r"\(")):
        _swept(model, labels, metric, tmp_path)


def test_a_score_outside_of_the_range_that_its_metric_declares_is_refused(tmp_path):
    scale = Scale("margin", "margin", higher_is_better=True, low=0.0, high=1.0)
    metric = Metric(scale, lambda outputs, labels: outputs.amax(1) * 10)
    with pytest.raises(SecateurError, match="lie in"):
        _swept(FOUR, classes(), metric, tmp_path)


def test_a_dense_model_without_finite_scores_is_refused(tmp_path):
    model = Made(lambda m, x: m.net(x) / (x[:, :1] > 0), net=FOUR)
    with pytest.raises(SecateurError, match="NaN or infinite"):
        _swept(model, classes(), cross_entropy(), tmp_path)


class Shrinking(nn.Module):
    """Writes into its own weights at every pass, as an embedding with max_norm does."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 10), nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.a.weight.data.mul_(1.0)
        with torch.no_grad():
            self.a.weight.clamp_(-1, 1)
        return self.b(F.relu(self.a(x)))


def test_a_model_that_writes_into_its_weights_is_refused(tmp_path):
    with pytest.raises(SecateurError, match="writes into its own parameter"):
        _swept(Shrinking(), classes(), cross_entropy(), tmp_path)


def test_examples_that_a_criterion_has_seen_are_not_judged_on():
    workload = Workload("net", FOUR, Examples(X, classes()), accuracy(), calibration=Examples(X[:2], classes()[:2]))
    with pytest.raises(SecateurError, match="also calibration examples"):
        workload.check()


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    model = by_hand.twin(FOUR)
    with torch.no_grad():
        model[0].weight[0, 0] = math.nan
    with pytest.raises(SecateurError, match="holds 1 NaN"):
        _swept(model, classes(), accuracy(), tmp_path)


@pytest.mark.parametrize("kind", ["a bit", "zeros", "a huge score", "changed"])
def test_damaged_evidence_is_not_served(kind, tmp_path):
    first = _swept(FOUR, classes(), cross_entropy(), tmp_path)
    db = sqlite3.connect(next(path for path in tmp_path.iterdir() if path.suffix in (".sqlite", ".db")))
    keys = {cell.evidence for cell in first.cells}
    rows = db.execute("SELECT cell, batch, scores FROM evidence").fetchall()
    rows = [row for row in rows if row[0] in keys]  # the dense model's are compared with a fresh pass anyhow
    assert rows
    for cell, batch, scores in rows:
        values = bytearray(scores)
        if kind == "a bit":
            values[2] ^= 0x40
        elif kind == "zeros":
            values = bytearray(len(values))
        elif kind == "a huge score":
            values[:4] = torch.tensor([1e30]).numpy().tobytes()
        if kind == "changed":
            rewrite(db, cell, batch, changed=0)
        else:
            rewrite(db, cell, batch, scores=bytes(values))
    db.commit()
    db.close()
    try:
        again = _swept(FOUR, classes(), cross_entropy(), tmp_path)
    except SecateurError:
        return  # refused
    assert [cell.metric for cell in again.cells] == [cell.metric for cell in first.cells]
    assert [cell.state for cell in again.cells] == [cell.state for cell in first.cells]


def test_what_the_workspace_remembers_of_the_dense_model_is_compared_with_a_fresh_pass(tmp_path):
    first = _swept(FOUR, classes(), cross_entropy(), tmp_path)
    db = sqlite3.connect(next(path for path in tmp_path.iterdir() if path.suffix in (".sqlite", ".db")))
    keys = {cell.evidence for cell in first.cells}
    for cell, batch, scores in db.execute("SELECT cell, batch, scores FROM evidence").fetchall():
        if cell not in keys:
            rewrite(db, cell, batch, scores=bytes(len(scores)))
    reseal(db)  # whoever wrote it there meant it: another machine's, say
    db.commit()
    db.close()
    try:
        again = _swept(FOUR, classes(), cross_entropy(), tmp_path)
    except SecateurError:
        return  # refused
    assert again.dense == first.dense


def test_the_evaluation_data_are_those_that_were_given(tmp_path):
    case = made("writes into its input")
    given = case.inputs[0].clone()
    workload = Workload("net", case.model, Examples(case.inputs[0], case.labels), cross_entropy(), batch_size=5)
    with suppress(SecateurError):  # to refuse it is fine too
        sweep(workload, workspace=tmp_path, sparsities=(0.5,), samples="all", threads=1, channels=True)
    assert torch.equal(case.inputs[0], given)


@pytest.mark.parametrize("replay", [False, True])
def test_channels_that_are_mixed_for_few_examples_only_are_measured_as_they_are(replay, tmp_path):
    def run(m: nn.Module, x: Tensor) -> Tensor:
        h = m.a(x)
        return m.b(torch.tanh(h) * (1 + F.relu(h.amax(1, keepdim=True) - 6)))  # a gate that opens for large inputs only

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = stirred(Made(run, a=nn.Linear(6, 10), b=nn.Linear(10, 4)))
        x = torch.randn(400, 6) * 0.3
    x[::10] *= 40
    x[:20] *= 0.01
    case = Case(model, (x,), "cross entropy", torch.arange(400) % 4)
    workload = Workload("gate", model, Examples(x.clone(), case.labels), cross_entropy(), batch_size=20)
    fields = {"sparsities": (0.5,), "channels": True, "samples": "all", "threads": 1, "replay": replay}
    report = sweep(workload, workspace=tmp_path, **fields)
    groups = find_structure(model, (x.clone(),)).groups
    cells = [cell for cell in report.cells if cell.cut.granularity == "channel"]
    for cell in cells:
        group, hand = groups[cell.cut.target], by_hand.twin(model)
        with by_hand.channels_zeroed(hand, group, by_hand.smallest_units(hand, group, 0.5)):
            right = by_hand.number_of(case, by_hand.outputs_of(hand, case, 50), torch.empty(0))
        assert cell.metric.value == pytest.approx(right, rel=1e-4)
