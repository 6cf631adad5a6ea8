"""Profiling tiny models: counts by hand, times that are made up, and models that nothing happens to."""

import copy
import shutil
import sys
import zlib

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core import Cut, SecateurError, SparsityPlan
from core.engines.engine import Engine
from core.engines.state import unique_state
from core.profiling import latency
from core.profiling.latency import ratios_of, timed_rounds, timings_of
from core.profiling.layer_costs import Meter, flops_by_module, layer_costs
from core.profiling.memory import bytes_compressed, bytes_on_disk, peak_bytes
from core.profiling.profile import profile
from core.profiling.report import BETWEEN
from core.profiling.request import ProfileRequest
from core.profiling.variants import single_cuts, variants
from core.sensitivity.measuring.stopping import Cancelled
from tests.core.delivery.branching import Branching

CPU = torch.device("cpu")
QUICK = ProfileRequest((2,), (1,), ("eager",), rounds=6)


def state_of(model):
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), m.training) for m in model.modules()]
    places = [(name, p.data_ptr(), p._version) for name, p in model.named_parameters()]
    return hooks, places, {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(model, before):
    hooks, places, values = state_of(model)
    assert (hooks, places) == before[:2]
    assert all(torch.equal(value, before[2][name]) for name, value in values.items())


# --- sizes


def test_the_bytes_are_those_of_the_file(hand, tmp_path):
    state = unique_state(hand.model)
    save_file(state, tmp_path / "m.safetensors", metadata={"format": "pt"})
    data = (tmp_path / "m.safetensors").read_bytes()
    assert (bytes_on_disk(hand.model), bytes_compressed(hand.model)) == (len(data), len(zlib.compress(data, 6)))
    assert sum(t.nbytes for t in load_file(tmp_path / "m.safetensors").values()) == 32


def test_the_peak_by_hand(hand):
    # weights 2 x 16 bytes; of 3 examples input, hidden and after ReLU 24 each; the output comes when the hidden is gone
    with torch.no_grad():
        assert peak_bytes(hand.model, (torch.ones(3, 2),), CPU) == 32 + 3 * 24
        assert peak_bytes(nn.Linear(2, 5), (torch.ones(1, 2),), CPU) == 60 + 8 + 20
        assert peak_bytes(nn.Flatten(), (torch.ones(4, 2),), CPU) == 32  # a view takes no room
        assert peak_bytes(nn.ReLU(inplace=True), (torch.ones(4, 2),), CPU) == 32


def test_the_peak_is_the_same_each_time(encoder):
    found = {peak_bytes(encoder.model, encoder.evaluation.inputs, CPU) for _ in range(3)}
    assert len(found) == 1
    assert torch.backends.mha.get_fastpath_enabled()


def test_flops_by_hand(hand, conv, tied_lm, attentive):
    assert flops_by_module(hand.model, (torch.ones(3, 2),)) == {"": 0, "fc1": 8, "fc2": 8}  # 2 x 2 x 2, an example
    # 8 x 8 places x 4 channels x 9 weights x 2, and (strided, unpadded) 3 x 3 x 6 x 36 x 2
    found = flops_by_module(conv.model, conv.evaluation.inputs)
    assert (found["conv1"], found["conv2"], found["fc"]) == (4608, 3888, 36)
    assert flops_by_module(tied_lm.model, tied_lm.evaluation.inputs)["head"] == 7 * 6 * 11 * 2
    # 5 tokens of width 8: four projections, and twice 5 x 5 x 8 for the two products of attention
    assert flops_by_module(attentive.model, attentive.evaluation.inputs)["attn"] == 4 * 640 + 2 * 400


def test_flops_of_a_fused_transformer_layer_are_counted_too(encoder):
    # per layer: packed projection 5 x 8 x 24, output 5 x 8 x 8, two products of 5 x 5 x 8, up and down 5 x 8 x 16
    layer = 2 * (960 + 320 + 400 + 1280)
    assert sum(flops_by_module(encoder.model, encoder.evaluation.inputs).values()) == 2 * layer + 2 * 24


# --- layers


class Steps:
    """A reading that grows by 1 each time it is looked at."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


def test_a_module_is_charged_without_those_it_calls(hand):
    before = state_of(hand.model)
    with Meter(hand.model, Steps()) as meter:
        hand.model(torch.ones(1, 2))
    # looked at on entry and leave of the model, fc1, fc2: 6 times, so 5 steps, of which each layer takes 1
    assert meter.own == {"fc1": 1, "fc2": 1, "": 3}
    assert_same(hand.model, before)


def test_hooks_are_gone_after_an_exception(hand):
    before = state_of(hand.model)
    with pytest.raises(RuntimeError, match="shapes"), Meter(hand.model, Steps()):
        hand.model(torch.ones(1, 3))
    assert_same(hand.model, before)


def test_shares_are_of_the_whole_and_every_parameter_is_counted_once(tied_lm, attentive):
    passes = [{"tokens": 1.0, "mix": 2.0, "head": 4.0, "": 1.0}] * 3
    costs = layer_costs(tied_lm.model, {"mix": 10.0, "head": 30.0, "": 0.0, "tokens": 0.0}, passes, 2, 1)
    assert [(c.name, c.parameters, c.flops, c.share) for c in costs] == [
        ("tokens", 66, 0, 0.125),
        ("mix", 42, 10, 0.25),
        ("head", 0, 30, 0.5),  # tied to the embedding, which has them
        (BETWEEN, 0, 0, 0.125),
    ]
    # torch's attention does not call the module that holds its output projection
    costs = layer_costs(attentive.model, {"attn": 1.0, "fc": 1.0, "": 0.0}, [], 2, 1)
    assert {c.name: c.parameters for c in costs} == {"attn": 4 * 64 + 4 * 8, "fc": 27, BETWEEN: 0}
    assert {(c.seconds, c.share) for c in costs} == {(None, None)}  # not timed is not 0


# --- times


class Clock:
    """Time that passes only in the forward passes of `of`."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def __call__(self):
        return self.now

    def of(self, name, seconds):
        def forward():
            self.log.append(name)
            self.now += seconds

        return forward


def test_every_round_has_a_turn_of_each_and_none_always_comes_after_the_same():
    clock, rounds = Clock(), []
    forwards = {"a": clock.of("a", 0.5), "b": clock.of("b", 0.25), "c": clock.of("c", 1.0)}
    times, passes = timed_rounds(forwards, ProfileRequest(rounds=6, seconds=99), on_round=rounds.append, clock=clock)
    assert "".join(clock.log[:9]) == "aaabbbccc"
    turns = [clock.log[i : i + 9] for i in range(9, len(clock.log), 9)]  # each begins with passes that do not count
    assert all(turn[::3] == turn[2::3] and sorted(turn[::3]) == ["a", "b", "c"] for turn in turns)
    assert times == {"a": [0.5] * 6, "b": [0.25] * 6, "c": [1.0] * 6}
    assert passes == {"a": 1, "b": 1, "c": 1}
    assert rounds == [1, 2, 3, 4, 5, 6]
    timed_rounds(forwards, ProfileRequest(rounds=300, seconds=9999), clock=clock)
    log = "".join(clock.log[-9 * 300 :: 3])
    after = [log.count(pair) for pair in ("ab", "ba", "ac", "ca", "bc", "cb")]
    assert max(after) < 2 * min(after)


def test_a_short_pass_is_repeated_and_its_time_is_still_that_of_one():
    clock = Clock()
    times, passes = timed_rounds({"a": clock.of("a", 2**-11)}, QUICK, clock=clock)
    assert passes == {"a": 5}  # 5 x 0.49 ms are the first to reach 2 ms
    assert times == {"a": [2**-11] * 6}


def test_a_slow_model_ends_after_its_time_with_an_interval_all_the_same():
    clock = Clock()
    times, _ = timed_rounds({"a": clock.of("a", 10.0)}, ProfileRequest(rounds=30, seconds=1), clock=clock)
    assert len(times["a"]) == 6
    clock = Clock()
    times, _ = timed_rounds({"a": clock.of("a", 10.0)}, ProfileRequest(rounds=30, seconds=295), clock=clock)
    assert len(times["a"]) == 10


def test_somebody_who_stops_it_is_heard_before_every_turn():
    clock, looks = Clock(), []

    def check():
        looks.append(len(clock.log))
        if len(looks) == 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        timed_rounds({"a": clock.of("a", 1.0), "b": clock.of("b", 1.0)}, QUICK, check, clock=clock)
    assert looks == [0, 3, 6, 9]  # a turn is two passes that do not count and one that does


def test_a_ratio_is_taken_within_each_round():
    # the machine grows ten times slower, the pruned model is twice as fast all the while
    dense = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    times = {"dense": dense, "half": [x / 2 for x in dense], "same": [*dense[:3], *(2 * x for x in dense[3:])]}
    half, same = ratios_of(times, "dense", "eager", 8, 1)
    assert (half.variant, half.value, half.low, half.high, half.n, half.verdict) == ("half", 2, 2, 2, 6, "faster")
    assert (same.value, same.low, same.high, same.verdict) == (0.75, 0.5, 1, "no faster here")
    dense_row = timings_of(times, {"dense": 1, "half": 2, "same": 3}, "eager", 8, 1)[0]
    assert (dense_row.low, dense_row.median, dense_row.high) == (2.5, 5, 7.5)
    assert ratios_of(times, "another", "eager", 8, 1) == ()


# --- engines


def test_what_cannot_be_exported_has_no_time_and_a_reason():
    report = profile(
        {"dense": Branching()}, (torch.ones(2, 2),), ProfileRequest((2,), (1,), ("eager", "onnx"), rounds=6)
    )
    assert [timing.engine for timing in report.timings] == ["eager"]
    (missing,) = report.unavailable
    assert (missing.engine, missing.variant, missing.batch) == ("onnx", "dense", 2)
    assert "GuardOnDataDependentSymNode" in missing.reason or "data-dependent" in missing.reason


def test_a_compiler_that_fails_is_a_reason_and_not_an_error(hand, monkeypatch):
    def no_compiler(*args, **kwargs):
        raise RuntimeError("no C++ compiler was found")

    monkeypatch.setattr(torch, "compile", no_compiler)
    report = profile({"dense": hand.model}, hand.evaluation.inputs, ProfileRequest((2,), (1,), ("compile",), rounds=6))
    assert (report.timings, report.ratios) == ((), ())
    assert [m.reason for m in report.unavailable] == ["RuntimeError: no C++ compiler was found"]
    assert report.sizes[0].parameters == 8  # the rest is measured all the same


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_what_is_compiled_for_several_threads_gives_the_same_outputs_and_is_timed(hand):
    models = variants(hand, SparsityPlan((Cut("fc1", "weight", 0.5),)))
    report = profile(models, hand.evaluation.inputs, ProfileRequest((2,), (1, 2), ("compile",), rounds=6))
    assert report.unavailable == ()
    assert [(t.variant, t.threads) for t in report.timings] == [
        ("dense", 1),
        ("masked", 1),
        ("dense", 2),
        ("masked", 2),
    ]


def test_without_the_runtime_there_is_a_reason(hand, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = profile({"dense": hand.model}, hand.evaluation.inputs, ProfileRequest((1,), (1,), ("onnx",), rounds=6))
    assert "onnxruntime is not installed" in report.unavailable[0].reason


def test_an_engine_that_gives_other_outputs_for_one_model_times_only_the_other(hand, monkeypatch):
    def odd(model, inputs, folder):
        return lambda threads: lambda: model(*inputs) + (model.fc1.weight[0, 1] == 0)

    monkeypatch.setattr("core.profiling.profile.ENGINES", {"eager": Engine(odd)})
    models = variants(hand, SparsityPlan((Cut("fc1", "weight", 0.5),)))
    report = profile(models, hand.evaluation.inputs, QUICK)
    assert [timing.variant for timing in report.timings] == ["dense"]
    assert report.ratios == ()
    assert "outputs differ from those of torch by 0.067" in report.unavailable[0].reason


# --- a whole profile


def test_a_profile_of_a_dense_and_a_masked_model_whole(conv):
    before = state_of(conv.model)
    threads, told = torch.get_num_threads(), []
    models = variants(conv, SparsityPlan((Cut("conv2", "weight", 0.5),)))
    assert list(models) == ["dense", "masked"]
    request = ProfileRequest((1, 30), (1, 2), ("eager", "onnx"), rounds=6)  # 24 examples: some come again
    report = profile(models, conv.evaluation.inputs, request, tell=lambda *news: told.append(news), workload="conv")
    dense, masked = report.sizes
    n = sum(p.numel() for p in conv.model.parameters())
    assert (dense.parameters, masked.parameters) == (n, n)
    assert (dense.nonzeros - masked.nonzeros, dense.flops - masked.flops) == (
        108,
        0,
    )  # half of 4 x 6 x 9; still dense work
    assert dense.bytes_dense == masked.bytes_dense
    assert dense.peak_bytes == masked.peak_bytes
    assert (dense.peak_batch, report.workload) == (30, "conv")
    settings = [(engine, batch, t) for batch in (1, 30) for engine in ("eager", "onnx") for t in (1, 2)]
    assert [(t.engine, t.batch, t.threads) for t in report.timings] == [s for s in settings for _ in range(2)]
    assert [(r.variant, r.engine, r.batch, r.threads) for r in report.ratios] == [("masked", *s) for s in settings]
    assert all(r.n == 6 and r.low <= r.value <= r.high for r in report.ratios)
    assert all(t.low <= t.median <= t.high for t in report.timings)
    assert report.unavailable == ()
    for batch in (1, 30):
        layers = report.layers_at(batch)
        assert [c.name for c in layers] == ["conv1", "bn1", "conv2", "bn2", "fc", BETWEEN]
        assert sum(c.share for c in layers) == pytest.approx(1)
        assert sum(c.flops for c in layers) == dense.flops
        assert sum(c.parameters for c in layers) == dense.parameters
    assert told[-1][0] == told[-1][1] == 6 * (2 + 8)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert torch.get_num_threads() == threads
    assert_same(conv.model, before)


def test_savings_are_told_for_every_group_and_sparsity(conv):
    request = ProfileRequest((2,), (1,), ("eager",), rounds=6, savings=(0.25, 0.5))
    report = profile({"dense": conv.model}, conv.evaluation.inputs, request, cuts=single_cuts(conv, request.savings))
    found = {(s.target, s.sparsity, s.batch, s.threads, s.n) for s in report.savings}
    assert found == {(name, s, 2, 1, 6) for name in ("conv1", "conv2") for s in (0.25, 0.5)}
    assert all(s.low <= s.seconds <= s.high for s in report.savings)


def test_single_cuts_are_made_when_they_are_asked_for(hand):
    cuts = single_cuts(hand, (0.5, 0.75))
    assert list(cuts) == [("fc1", 0.5)]  # what 75 % of two neurons leaves is none
    cut = cuts["fc1", 0.5]()
    assert cut.fc1.weight.tolist() == [[3, pytest.approx(0.1)]]  # its weights are larger than [-0.2, 2]
    assert cut.fc2.weight.tolist() == [[5], [pytest.approx(0.4)]]
    assert hand.model.fc1.weight.shape == (2, 2)


@pytest.mark.parametrize("at", [1, 4, 9, 17])
def test_a_profile_that_is_stopped_leaves_everything_as_it_was(conv, at):
    conv.model.train()  # as somebody may have left it
    before, threads, looks = state_of(conv.model), torch.get_num_threads(), []

    def check():
        looks.append(1)
        if len(looks) == at:
            raise Cancelled

    with pytest.raises(Cancelled):
        profile({"dense": conv.model}, conv.evaluation.inputs, ProfileRequest((2,), (2,), ("eager",), rounds=6), check)
    assert_same(conv.model, before)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


class Counting(nn.Module):
    """Counts its calls, in an attribute and in a buffer."""

    def __init__(self):
        super().__init__()
        self.fc, self.calls = nn.Linear(2, 2), 0
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.seen += 1
        return self.fc(x)


def test_a_model_that_remembers_its_calls_is_not_called():
    model = Counting()
    report = profile({"dense": model}, (torch.ones(1, 2),), QUICK)
    assert report.timings
    assert (model.calls, float(model.seen)) == (0, 0)


def test_what_torch_itself_cannot_run_is_told_before_anything_is_timed(hand, monkeypatch):
    monkeypatch.setattr(latency, "_turn", lambda *args: pytest.fail("it was timed"))
    before = state_of(hand.model)
    with pytest.raises(SecateurError, match=r"the dense model fails on a batch of 2 \(RuntimeError: .*choose other"):
        profile({"dense": hand.model}, (torch.ones(4, 3),), QUICK)
    assert_same(hand.model, before)
    assert torch.backends.mha.get_fastpath_enabled()


def test_bad_input_is_told(hand):
    x = hand.evaluation.inputs
    with pytest.raises(SecateurError, match="give at least one model"):
        profile({}, x, QUICK)
    for nothing in ((), (torch.ones(0, 2),)):
        with pytest.raises(SecateurError, match="at least one example each"):
            profile({"dense": hand.model}, nothing, QUICK)
    with pytest.raises(SecateurError, match="device 'meta' cannot be used here"):
        profile({"dense": hand.model}, x, ProfileRequest(device="meta"))
    model = copy.deepcopy(hand.model)
    model.kept = model.fc1.weight * 2  # has a history, so that it cannot be copied
    with pytest.raises(SecateurError, match=r"the model cannot be copied .*keep tensors with a history out"):
        profile({"dense": model}, x, QUICK)
    with pytest.raises(SecateurError, match="no weight target 'fc3'"):
        variants(hand, SparsityPlan((Cut("fc3", "weight", 0.5),)))


@pytest.mark.parametrize("plan", [None, SparsityPlan()])
def test_without_a_cut_there_is_the_dense_model_alone(hand, plan):
    assert variants(hand, plan) == {"dense": hand.model}
