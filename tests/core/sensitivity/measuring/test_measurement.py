"""Measuring a plan: a sweep's point is what really happens when that cut is made."""

import contextlib
import copy
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from core import Cut, Examples, Metric, Scale, SecateurError, SparsityPlan, SweepRequest, Workload, accuracy
from core.sensitivity.cells import plan_cells
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.stopping import Cancelled
from core.sensitivity.statistics.intervals import tango
from core.sensitivity.sweep import Sweep
from core.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws")


def rows(workspace):
    with workspace.connect() as db:
        return [tuple(row) for row in db.execute("SELECT * FROM evidence ORDER BY cell, batch")]


def swept(workload, workspace, order=lambda cells: cells, **request):
    """Results of a sweep by cut, measured in the order that `order` makes of the cells."""
    results = {}
    asked = SweepRequest(workload.name, **request)
    with Measurement(workload, EvidenceStore(workspace), "all") as measurement:
        cells = order(plan_cells(measurement.targets, asked))
        Sweep(measurement, cells, asked, lambda news: results.update({c.cut: c for c in news.cells.values()})).run()
    return results


WAYS = pytest.mark.parametrize("replay", [True, False], ids=["replay", "full passes"])


def test_a_cell_by_hand(hand):
    with Measurement(hand, None) as measurement:
        dense = measurement.dense()
        half = measurement.measure(SparsityPlan((Cut("fc1", "weight", 0.5),)))
        most = measurement.measure(SparsityPlan((Cut("fc1", "weight", 0.75),)))
    assert (dense.value, dense.n) == (1, 4)
    assert (half.state, half.metric.value, half.drop.value) == ("measured", 1, 0)
    assert (half.drop.low, half.drop.high) == tango(0, 0, 4)
    assert (most.metric.value, most.drop.value, most.drop.n) == (0.5, 0.5, 4)
    assert (most.drop.low, most.drop.high) == tango(2, 0, 4)


def test_a_place_that_cannot_close_costs_neither_threads_nor_what_was_measured_of_the_dense_model(hand, workspace):
    class Full:
        foresee = run = None  # nothing is asked of it

        def close(self):
            raise OSError("the disk is full")

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    measurement = Measurement(hand, EvidenceStore(workspace))
    try:
        measurement.__enter__()
        measurement.replay()
        assert torch.get_num_threads() == 1
        measurement.dense()
        measurement.elsewhere = Full()
        with pytest.raises(OSError, match="the disk is full"):
            measurement.__exit__(None, None, None)
        assert torch.get_num_threads() == 2
        assert not measurement.threads.started
        assert len(rows(workspace)) == len(measurement.batches)
    finally:
        torch.set_num_threads(before)


def scores_of(model, workload, positions):
    """Per-example scores of a model on its own, batch by batch, without any of the code that sweeps."""
    with torch.inference_mode():
        batches = [tuple(x[rows] for x in workload.evaluation.tensors) for rows in positions]
        return torch.cat([workload.metric.score(model(*inputs), labels) for *inputs, labels in batches]).numpy()


@WAYS
def test_a_swept_cell_is_what_that_one_cut_does_bit_for_bit(any_workload, workspace, replay):
    request = {"sparsities": (0.3, 0.9), "replay": replay}
    results = swept(any_workload, workspace, **request)
    with Measurement(any_workload, None, "all") as measurement:
        keys, conditions, positions = measurement.batches.keys, measurement._conditions, measurement.batches.positions
    assert sorted(torch.cat(positions).tolist()) == list(range(len(any_workload.evaluation)))
    store = EvidenceStore(workspace)
    assert results
    for cut, cell in results.items():
        clone = copy.deepcopy(any_workload.model).eval()
        target = next(t for t in measurement.targets if (t.granularity, t.name) == (cut.granularity, cut.target))
        path, _, name = target.parameter.rpartition(".")
        if cut.granularity == "weight":  # by torch's own pruning, which is no code of ours
            torch_prune.l1_unstructured(clone.get_submodule(path), name, cell.n_removed)
            torch_prune.remove(clone.get_submodule(path), name)
            if target.shared_with:
                clone.head.weight = clone.tokens.weight
        else:
            width = target.n_weights // target.shape[0]
            clone.get_submodule(path).weight.data[:, target.head * width : (target.head + 1) * width] = 0
        found = store.read(conditions.cell_key(SparsityPlan((cut,))), keys)
        measured = np.concatenate([found[key].scores for key in keys])
        alone = scores_of(clone, any_workload, positions)
        np.testing.assert_array_equal(measured.view("u4"), alone.view("u4"), err_msg=str(cut))


def test_the_models_of_these_tests_are_alive(any_workload, workspace):
    """A dead ReLU would let every cut look harmless, and the tests around this one pass for nothing."""
    results = swept(any_workload, workspace, sparsities=(0.5, 0.9))
    assert {cell.state for cell in results.values()} == {"measured"}


def test_the_order_of_cells_never_matters(any_workload, tmp_path):
    one, other = Workspace(tmp_path / "one"), Workspace(tmp_path / "other")
    request = {"sparsities": (0.1, 0.5, 0.9)}
    up = swept(any_workload, one, **request)
    down = swept(any_workload, other, order=lambda cells: cells[::-1], **request)
    assert up == down
    assert rows(one) == rows(other)


def test_one_cell_alone_is_the_same_as_in_a_sweep(conv, tmp_path):
    whole = swept(conv, Workspace(tmp_path / "whole"))
    alone = swept(conv, Workspace(tmp_path / "alone"), layers="conv2", sparsities=(0.7,))
    assert alone == {cut: whole[cut] for cut in alone}
    assert len(alone) == 1


def test_a_cut_that_changes_no_output_has_no_effect_and_is_not_called_robust(hand):
    class Deaf(nn.Module):
        def __init__(self):
            super().__init__()
            self.heard, self.unheard = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            self.unheard(x)
            return self.heard(x)

    torch.manual_seed(0)
    with Measurement(replace(hand, model=Deaf()), None) as measurement:
        unheard = measurement.measure(SparsityPlan((Cut("unheard", "weight", 0.5),)))
        heard = measurement.measure(SparsityPlan((Cut("heard", "weight", 0.5),)))
    assert (unheard.state, heard.state) == ("no effect", "measured")
    assert unheard.reason == "no output changed on any of 4 examples"


def test_a_share_that_rounds_to_nothing_says_so(hand, workspace):
    (cell,) = swept(hand, workspace, sparsities=(0.1,), layers="fc1").values()
    assert (cell.n_removed, cell.state, cell.reason) == (0, "no effect", "0.1 of 4 weights rounds to none")


@dataclass
class Answer:
    logits: torch.Tensor


class Wrapped(nn.Module):
    """Its answer is an object of a class that torch has never heard of."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return Answer(self.inner(x))


def test_outputs_in_an_object_of_one_s_own_are_seen_to_change(hand):
    metric = Metric(accuracy().scale, lambda outputs, labels: (outputs.logits.argmax(-1) == labels).float())
    with Measurement(replace(hand, model=Wrapped(hand.model), metric=metric), None) as measurement:
        outcome = measurement.measure(SparsityPlan((Cut("inner.fc1", "weight", 0.75),)))
        silent = measurement.measure(SparsityPlan())
    assert (outcome.state, outcome.drop.value) == ("measured", 0.5)
    assert silent.state == "no effect"


def test_only_the_first_examples_are_used_when_told(hand):
    with Measurement(hand, None, 3) as measurement:
        assert measurement.dense().n == 3
    with Measurement(replace(hand, sweep_examples=2), None, None) as measurement:
        assert measurement.dense().n == 2
    with Measurement(replace(hand, sweep_examples=2), None, "all") as measurement:
        assert measurement.dense().n == 4


def test_a_model_that_answers_differently_each_time_is_refused(hand):
    class Restless(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x):
            return nn.functional.dropout(self.fc(x), 0.5, training=True)

    with (
        pytest.raises(SecateurError, match="deterministic in evaluation mode"),
        Measurement(replace(hand, model=Restless()), None) as measurement,
    ):
        measurement.dense()


def test_data_on_which_the_dense_model_is_not_finite_is_refused(conv):
    conv.evaluation.inputs[0][3] = float("nan")
    with (
        pytest.raises(SecateurError, match=r"NaN or infinite scores on 1 of \d+ examples; check the data"),
        Measurement(conv, None) as measurement,
    ):
        measurement.dense()


class Brittle(nn.Module):
    """Divides by what a cut may make zero, raises if nothing is left, and counts its calls in a buffer."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2, bias=False)
        self.scale = nn.Linear(1, 1, bias=False)
        self.register_buffer("calls", torch.zeros(()))
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[1.0, 0.1], [0.2, 2.0]]))
            self.scale.weight.fill_(1.0)

    def forward(self, x):
        drift = self.calls * 1.0
        self.calls += 1
        if not self.fc.weight[1].any():
            raise RuntimeError("nothing left\nto look at")
        return (self.fc(x) + drift) / self.scale.weight


@pytest.fixture
def brittle(hand):
    metric = Metric(Scale("logit", "units", True, None, None), lambda outputs, labels: outputs[:, 0])
    return replace(hand, model=Brittle(), metric=metric)


def test_a_cell_whose_scores_are_not_finite_has_failed_and_the_next_goes_on(brittle, workspace):
    results = swept(brittle, workspace, sparsities=(0.25, 0.9))
    failed = results[Cut("scale", "weight", 0.9, "magnitude")]
    assert (failed.state, failed.reason) == ("failed", "2 of 2 scores are NaN or infinite")  # one batch is enough
    assert failed.drop is None
    assert results[Cut("fc", "weight", 0.25, "magnitude")].state == "measured"


def test_a_forward_that_raises_fails_its_own_cell_and_leaves_no_trace_in_the_next(brittle, tmp_path):
    """The counter it wrote to before it raised must not be seen by the cells after it."""
    request = {"sparsities": (0.25, 0.9), "layers": "fc"}
    up = swept(brittle, Workspace(tmp_path / "up"), **request)
    down = swept(brittle, Workspace(tmp_path / "down"), order=lambda cells: cells[::-1], **request)
    assert up == down
    failed = up[Cut("fc", "weight", 0.9, "magnitude")]
    assert failed.state == "failed"
    assert failed.reason.startswith("the cut model raised RuntimeError: nothing left")


def test_a_perplexity_beyond_all_numbers_is_a_failed_cell_not_an_infinite_one(hand):
    metric = Metric(
        Scale("perplexity", "per token", False, 1.0, None, "exp_mean"),
        lambda outputs, labels: torch.where(outputs[:, 1] == 0, 800.0, 1.0),
    )
    with Measurement(replace(hand, metric=metric), None) as measurement:
        outcome = measurement.measure(SparsityPlan((Cut("fc2", "weight", 0.9),)))
    assert outcome.state == "failed"
    assert "too large" in outcome.reason
    assert math.isfinite(measurement.dense().high)


def test_labels_of_which_none_counts_are_refused(tied_lm):
    none = Examples(tied_lm.evaluation.inputs, torch.full_like(tied_lm.evaluation.labels, -100))
    with (
        pytest.raises(SecateurError, match="weights of the examples"),
        Measurement(replace(tied_lm, evaluation=none), None) as measurement,
    ):
        measurement.dense()


def test_the_perplexity_of_a_pruned_model_weighs_tokens(tied_lm):
    plan = SparsityPlan((Cut("mix", "weight", 0.5),))
    with Measurement(tied_lm, None) as measurement:
        outcome = measurement.measure(plan)
    clone = copy.deepcopy(tied_lm.model)
    torch_prune.l1_unstructured(clone.mix, "weight", 18)
    with torch.no_grad():
        logits = clone(*tied_lm.evaluation.inputs)
    labels = tied_lm.evaluation.labels
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)  # mean over tokens
    assert outcome.metric.value == pytest.approx(loss.exp().item(), rel=1e-5)


def test_cancelling_stops_before_the_next_forward_and_keeps_finished_batches(conv, workspace):
    passes, asked = [], []
    conv.model.register_forward_pre_hook(lambda module, args: passes.append(not module.fc.weight.all()))

    def check():
        if sum(passes) == 5:  # of the cut model: four of the first cell, one of the second
            asked.append(len(passes))
            raise Cancelled

    with Measurement(conv, EvidenceStore(workspace), check=check) as measurement:
        measurement.measure(SparsityPlan((Cut("fc", "weight", 0.5),)))
        with pytest.raises(Cancelled):
            measurement.measure(SparsityPlan((Cut("fc", "weight", 0.9),)))
    assert asked == [len(passes)]  # not one more pass
    per_cell = [len(list(found)) for _, found in itertools.groupby(rows(workspace), key=lambda row: row[0])]
    assert sorted(per_cell) == [1, 4, 4]  # of the second cell one batch, and that is not measured again


def test_a_workload_is_measured_with_its_own_batches(conv):
    sizes = []
    conv.model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    with Measurement(conv, None) as measurement:
        measurement.dense()
    assert sizes == [2, 2, 3, 2, 8, 10, 4]  # the first twice, among others, then all


def test_workloads_with_several_inputs_are_called_with_all_of_them():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x, y):
            return self.fc(x + y)

    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    workload = Workload("two", Two(), Examples((x, x.flip(0)), torch.arange(6) % 2), accuracy())
    with Measurement(workload, None) as measurement:
        assert measurement.measure(SparsityPlan((Cut("fc", "weight", 0.5),))).state == "measured"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_types_are_swept_like_any(hand, workspace, dtype):
    model = copy.deepcopy(hand.model).to(dtype)
    data = Examples(hand.evaluation.inputs[0].to(dtype), hand.evaluation.labels)
    results = swept(replace(hand, model=model, evaluation=data), workspace, sparsities=(0.75,))
    assert [cell.drop.value for cell in results.values()] == [0.5, 0.5]
    assert model.fc1.weight.dtype == dtype


def raising(model, error, batch):
    """Lets a cut `fc` raise on one batch, counted from 0 over the whole life of the model."""
    passes = []

    def explode(module, args):
        if not module.fc.weight.all():
            passes.append(1)
            if len(passes) == batch + 1:
                raise error

    return model.register_forward_pre_hook(explode)


ERRORS = [KeyError("no such class"), IndexError("out of range"), ZeroDivisionError(), AssertionError(), MemoryError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_error_of_a_cut_model_fails_its_cell_and_no_other(conv, workspace, error):
    raising(conv.model, error, 0)
    results = swept(conv, workspace, sparsities=(0.5, 0.9), layers="fc|conv2")
    states = {(cut.target, cut.sparsity): cell.state for cut, cell in results.items()}
    assert states == {
        ("conv2", 0.5): "measured", ("conv2", 0.9): "measured", ("fc", 0.5): "measured", ("fc", 0.9): "failed"
    }  # fmt: skip
    failed = results[Cut("fc", "weight", 0.9, "magnitude")]  # the highest sparsity is tried first
    assert failed.reason == f"the cut model raised {type(error).__name__}: {error}"
    assert (failed.metric, failed.drop) == (None, None)


def test_an_error_that_the_user_can_mend_ends_the_sweep(conv, workspace):
    raising(conv.model, SecateurError("mend it"), 0)
    with pytest.raises(SecateurError, match="mend it"):
        swept(conv, workspace, sparsities=(0.5,))


FC = SparsityPlan((Cut("fc", "weight", 0.5),))


@pytest.mark.parametrize("error", [KeyError("no"), Cancelled(), SecateurError("mend it"), KeyboardInterrupt()])
def test_batches_that_were_finished_before_an_error_are_kept_and_not_measured_again(conv, workspace, tmp_path, error):
    handle = raising(conv.model, error, 2)
    store = EvidenceStore(workspace)
    with Measurement(conv, store) as measurement, contextlib.suppress(type(error)):
        assert measurement.measure(FC).state == "failed"
    handle.remove()
    with Measurement(conv, store) as measurement:
        key, batches = measurement.cell_key(FC), measurement.batches.keys
        assert set(store.read(key, batches)) == set(batches[:2])  # of four
        measurement.dense()
        sizes = []
        handle = conv.model.register_forward_pre_hook(
            lambda module, args: None if module.fc.weight.all() else sizes.append(len(args[0]))
        )
        outcome = measurement.measure(FC)
        handle.remove()
    assert sizes == [10, 4]
    with Measurement(conv, EvidenceStore(Workspace(tmp_path / "fresh"))) as measurement:
        assert measurement.measure(FC) == outcome


class Renormed(nn.Module):
    """Its embedding shortens its own rows whenever they are looked up."""

    def __init__(self, max_norm=1.0):
        super().__init__()
        self.tokens = nn.Embedding(7, 4, max_norm=max_norm)
        self.fc = nn.Linear(4, 7)
        with torch.no_grad():
            self.tokens.weight.copy_(torch.arange(28.0).view(7, 4))

    def forward(self, codes):
        return self.fc(self.tokens(codes))


def test_a_forward_that_writes_into_a_parameter_is_refused_and_undone_bit_for_bit(tied_lm):
    codes, labels = (x.clamp(max=6) for x in tied_lm.evaluation.tensors)
    workload = replace(tied_lm, model=Renormed(), evaluation=Examples(codes, labels))
    before = {name: tensor.clone() for name, tensor in workload.model.state_dict().items()}
    storage = workload.model.tokens.weight.data_ptr()
    with (
        pytest.raises(
            SecateurError, match=r"writes into its own parameter tokens.weight \(max_norm does\).*turn it off"
        ),
        Measurement(workload, None) as measurement,
    ):
        measurement.dense()
    assert all(torch.equal(before[name], tensor) for name, tensor in workload.model.state_dict().items())
    assert workload.model.tokens.weight.data_ptr() == storage
    with Measurement(replace(workload, model=Renormed(None)), None) as measurement:
        assert measurement.measure(SparsityPlan((Cut("tokens", "weight", 0.5),))).state == "measured"


WRITES = {
    "behind autograd's back": lambda m, x: m.fc.weight.data.mul_(0.999),
    "into a view": lambda m, x: m.fc.weight.data[0].view(-1)[1:].zero_(),
    "into where it is stored": lambda m, x: m.fc.weight.detach().t().copy_(torch.ones(7, 3)),
    "many at once": lambda m, x: torch._foreach_mul_([p.data for p in m.fc.parameters()], 0.5),
    "as the place of a result": lambda m, x: torch.mul(m.fc.weight.data, 2, out=m.fc.weight.data),
}


@pytest.mark.parametrize("how", WRITES.values(), ids=WRITES)
def test_whatever_way_a_forward_writes_into_a_parameter_it_is_undone(how):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(7, 3)

        def forward(self, x):
            with torch.no_grad():
                how(self, x)
            return self.fc(x)

    torch.manual_seed(0)
    model, x = Net(), torch.randn(12, 7)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    workload = Workload("writes", model, Examples(x, torch.arange(12) % 3), accuracy())
    with (
        pytest.raises(SecateurError, match=r"writes into its own parameter fc\."),
        Measurement(workload, None) as measurement,
    ):
        measurement.dense()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_parameters_that_nobody_writes_into_are_not_copied(monkeypatch):
    copied, clone = [], torch.Tensor.clone
    monkeypatch.setattr(
        torch.Tensor, "clone", lambda tensor, **how: copied.append(tensor.numel()) or clone(tensor, **how)
    )
    model, x = nn.Linear(300, 200), torch.randn(8, 300)
    workload = Workload("large", model, Examples(x, torch.arange(8)), accuracy())
    with Measurement(workload, None) as measurement:
        measurement.dense()
    assert max(copied, default=0) < model.weight.numel()


def test_what_a_forward_wrote_before_it_raised_is_undone_too(tied_lm):
    model = Renormed()
    model.fc.register_forward_pre_hook(lambda module, args: [][0])
    before = model.tokens.weight.detach().clone()
    codes, labels = (x.clamp(max=6) for x in tied_lm.evaluation.tensors)
    with (
        pytest.raises(SecateurError, match="the dense tied-lm raised IndexError on its evaluation data"),
        Measurement(replace(tied_lm, model=model, evaluation=Examples(codes, labels)), None) as measurement,
    ):
        measurement.dense()
    assert torch.equal(model.tokens.weight, before)


def test_a_device_that_holds_no_numbers_is_refused(hand):
    with pytest.raises(SecateurError, match=r"device 'meta' cannot be used here \(it holds no numbers\)"):
        Measurement(hand, None, device="meta")


def test_more_samples_than_there_are_are_refused(hand):
    with pytest.raises(SecateurError, match="5 samples asked for, but the evaluation data of hand has 4; take fewer"):
        Measurement(hand, None, 5)
    with Measurement(replace(hand, sweep_examples=5), None, None) as measurement:  # a default, not a demand
        assert measurement.dense().n == 4
