"""How much the loss rises with a cut."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional as F

from core.plans.plan import SparsityPlan
from core.sensitivity.cells import plan_cells
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.request import SweepRequest
from core.sensitivity.statistics.risen import Risen, RisenOfStrata
from core.sensitivity.sweep import Sweep
from core.workload.metric import accuracy, cross_entropy, perplexity
from core.workspace import Workspace


def test_is_the_mean_difference_with_students_interval():
    risen = Risen()
    risen.take(np.array([1.0, 2.0], "f4"), np.array([0.5, 1.0], "f4"))
    risen.take(np.array([4.0], "f4"), np.array([2.0], "f4"))
    found = risen.estimate()
    differences = [0.5, 1.0, 2.0]
    low, high = stats.t.interval(0.95, 2, np.mean(differences), stats.sem(differences))
    assert (found.value, found.low, found.high, found.n) == (
        pytest.approx(3.5 / 3),
        pytest.approx(low),
        pytest.approx(high),
        3,
    )


@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=5), min_size=1, max_size=6))
def test_batches_in_parts_are_all_examples_at_once(parts):
    risen = Risen()
    for part in parts:
        risen.take(np.array(part, "f4"), np.zeros(len(part), "f4"))
    every = [value for part in parts for value in part]
    found = risen.estimate()
    if len(every) < 2:
        assert found is None
    else:
        assert found.value == pytest.approx(np.mean(every), abs=1e-6)
        assert found.n == len(every)


def test_a_batch_without_losses_leaves_it_unknown():
    risen = Risen()
    risen.take(np.ones(5, "f4"), np.zeros(5, "f4"))
    risen.take(None, np.zeros(5, "f4"))
    assert risen.estimate() is None


def test_a_metric_whose_score_is_the_loss_keeps_no_second_one():
    assert accuracy().has_own_loss
    assert not cross_entropy().has_own_loss
    assert not perplexity().has_own_loss


def test_a_loss_that_does_not_work_stops_nothing():
    def breaks(outputs, labels):
        raise ValueError("no")

    outputs, labels = torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64)
    assert replace(accuracy(), loss=breaks).loss_batch(outputs, labels, 3) is None
    assert replace(accuracy(), loss=lambda o, t: o.sum()).loss_batch(outputs, labels, 3) is None
    assert replace(accuracy(), loss=lambda o, t: o[:, 0] / 0).loss_batch(outputs, labels, 3) is None


@pytest.fixture
def judged(conv):
    """`conv` by its accuracy, which has a loss of its own."""
    return replace(conv, metric=accuracy())


def swept(workload, store=None):
    request = SweepRequest("x", sparsities=(0.5, 0.9), preview=False)
    with Measurement(workload, store) as measurement:
        cells = list(plan_cells(measurement.targets, request))
        Sweep(measurement, cells, request, lambda news: [cells.__setitem__(p, c) for p, c in news.cells.items()]).run()
    return cells


def test_every_cell_says_how_much_the_loss_rose(judged):
    cells = swept(judged)
    with Measurement(judged, None) as measurement:
        model, examples = judged.model, judged.evaluation
        for cell in cells:
            with torch.no_grad():
                dense = F.cross_entropy(model(*examples.inputs), examples.labels, reduction="none")
                masks = measurement.maker.masks(SparsityPlan((cell.cut,)))
                kept = {name: model.get_parameter(name).data.clone() for name in masks}
                for name, mask in masks.items():
                    model.get_parameter(name).data.mul_(mask)
                cut = F.cross_entropy(model(*examples.inputs), examples.labels, reduction="none")
                for name, tensor in kept.items():
                    model.get_parameter(name).data.copy_(tensor)
            assert cell.loss.value == pytest.approx(float((cut - dense).mean()), abs=1e-5)
            assert cell.loss.n == len(examples)


def test_losses_are_on_disk_with_the_scores_and_read_again(judged, tmp_path):
    store = EvidenceStore(Workspace(tmp_path), judged.metric.loss_fingerprint())
    first = swept(judged, store)
    again = swept(judged, store)
    assert [cell.loss for cell in again] == [cell.loss for cell in first]
    assert all(cell.loss is not None for cell in again)
    other = EvidenceStore(Workspace(tmp_path), "another loss")
    assert all(cell.loss is None for cell in swept(judged, other))


def test_of_strata_each_counts_by_its_share_of_all():
    rng = np.random.default_rng(3)
    likely = np.r_[rng.random(40) < 0.3, np.ones(20, bool), np.zeros(140, bool)]
    dense, cut = rng.gamma(2, 1, 200).astype("f4"), np.zeros(200, "f4")
    cut[:] = dense + np.where(likely, 2.0, 0.1) + rng.normal(0, 0.1, 200)
    risen, rose = RisenOfStrata(likely, 40, 60), cut.astype(float) - dense
    for a, b in ((0, 40), (40, 50), (50, 60), (60, 100)):
        risen.take(cut[a:b], dense[a:b])
        found, told = risen.estimate(), np.arange(200) < b
        if b < 60:  # what was chosen says nothing of all
            assert found.value == pytest.approx(rose[:40].mean())
            assert found.n == 40
        else:
            by_hand = likely.mean() * rose[told & likely].mean() + (~likely).mean() * rose[told & ~likely].mean()
            assert found.value == pytest.approx(by_hand)
            assert found.low < rose.mean() < found.high
            assert found.n == b
    risen.take(cut[100:], dense[100:])
    whole = Risen()
    whole.take(cut, dense)
    assert risen.estimate().value == pytest.approx(whole.estimate().value)


def test_of_strata_nothing_is_said_where_a_batch_has_no_losses():
    risen = RisenOfStrata(np.zeros(20, bool), 10, 10)
    risen.take(np.ones(10, "f4"), np.zeros(10, "f4"))
    risen.take(None, np.zeros(10, "f4"))
    assert risen.estimate() is None
