"""Rounds of pruning and recovery: masks grow, the dense model stays, a run goes on where it stopped."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from core import Cut, Examples, FineTuning, IterativePruner, SecateurError, SparsityPlan, cosine_to_dense
from core.plans.schedules import Schedule
from core.recovery.checkpoint import last_checkpoint, put_optimiser_state, read_checkpoint, write_checkpoint
from core.recovery.recovered import recovered
from core.recovery.request import RecoverRequest
from core.recovery.round_file import path_of
from core.recovery.rounds import Recovery
from core.recovery.training.recalibration import recalibrate
from core.recovery.training.training import DivergedError
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.stopping import Cancelled
from tests.core.recovery.learners import recover

QUICK = FineTuning(steps=6, batch_size=32, rate=5e-3)
THREE = Schedule("cubic", 0.0, 0.9, 3)
PLANS = {
    "weights": SparsityPlan((Cut("fc1", sparsity=0.8), Cut("fc2", sparsity=0.5))),
    "random weights": SparsityPlan((Cut("fc1", sparsity=0.8, criterion="random"),)),
    "wanda": SparsityPlan((Cut("fc1", sparsity=0.75, criterion="wanda"),)),
    "gradients": SparsityPlan((Cut("fc1", sparsity=0.75, criterion="taylor"),)),
    "tiles": SparsityPlan((Cut("fc1", "4x4", 0.5),)),
    "2:4": SparsityPlan((Cut("fc1", "2:4"), Cut("fc2", sparsity=0.5))),
    "channels": SparsityPlan((Cut("fc1", "channel", 0.5),)),
    "channels by geometric median": SparsityPlan((Cut("fc1", "channel", 0.5, "fpgm"),)),
}


def request(plan=None, schedule=THREE, how=QUICK, **fields):
    return RecoverRequest("learner", schedule, how, plan.to_document() if plan else None, **fields)


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", PLANS)
def test_masks_only_grow_and_end_as_sparse_as_the_plan_says(learner, name, tmp_path):
    dense = state(learner.model)
    recovery = recover(learner, request(PLANS[name]), tmp_path)
    masks = [read_checkpoint(path_of(tmp_path, i)).masks for i in (1, 2, 3)]
    for before, after in pairwise(masks):
        for tensor, mask in before.items():
            assert not (after[tensor] & ~mask).any()
    for tensor, mask in recovery.masks.items():
        assert not recovery.model.get_parameter(tensor).detach()[~mask].any()
    gone = {tensor: int((~mask).sum()) for tensor, mask in recovery.masks.items()}
    wanted = {
        "weights": {"fc1.weight": 230, "fc2.weight": 36},
        "random weights": {"fc1.weight": 230},
        "wanda": {"fc1.weight": 216},
        "gradients": {"fc1.weight": 216},
        "tiles": {"fc1.weight": 144},
        "2:4": {"fc1.weight": 144, "fc2.weight": 36},
    }
    channels = {"fc1.weight": 144, "fc1.bias": 12, "bn.weight": 12, "bn.bias": 12, "fc2.weight": 36}
    assert gone == wanted.get(name, channels)
    assert same(dense, state(learner.model))


@pytest.mark.parametrize("spread", ["global", "uniform", "erk", "lamp"])
def test_one_sparsity_of_all_weights_is_reached_to_the_weight(learner, spread):
    recovery = recover(learner, request(spread=spread))
    assert [round(row.sparsity * 360) for row in recovery.history] == pytest.approx(
        [round(value * 360) for value in THREE.sparsities()], abs=1
    )
    assert recovery.history[-1].sparsity == pytest.approx(0.9, abs=1 / 360)


def test_recovery_recovers(learner):
    how = replace(QUICK, steps=60)
    last = recover(learner, request(how=how, schedule=Schedule("cubic", 0.0, 0.8, 3))).history[-1]
    bare = recover(learner, request(how=replace(QUICK, steps=0), schedule=Schedule("cubic", 0.0, 0.8, 3))).history[-1]
    assert bare.after == bare.before  # nothing was trained
    assert bare.steps == 0
    assert last.after.value > bare.after.value + 0.05
    assert last.after.n == 300
    assert last.drop.low < last.drop.value < last.drop.high


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("plan", ["weights", "channels"])
def test_stopped_and_resumed_is_the_same_as_never_stopped_bit_for_bit(learner, tmp_path, optimiser, plan):
    asked = request(PLANS[plan], how=replace(QUICK, optimiser=optimiser))
    whole = recover(learner, asked)
    n_steps = 0

    def stop_in_the_middle_of_the_second_round(step):
        nonlocal n_steps
        n_steps += 1
        if (step.iteration, step.step) == (2, 3):
            raise Cancelled

    with pytest.raises(Cancelled):
        recover(learner, asked, tmp_path, on_step=stop_in_the_middle_of_the_second_round)
    assert n_steps == 9
    seen = set()
    resumed = recover(learner, asked, tmp_path, on_step=lambda step: seen.add(step.iteration))
    assert seen == {2, 3}  # the first round is not done again
    assert same(state(whole.model), state(resumed.model))
    untimed = [[replace(row, seconds=0.0) for row in one.history] for one in (whole, resumed)]
    assert untimed[0] == untimed[1]


def test_the_rounds_of_another_recovery_are_neither_used_nor_overwritten(learner, tmp_path):
    recover(learner, request(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(SecateurError, match=r"round-003\.safetensors is of another recovery .* choose another folder"):
        recover(learner, request(how=replace(QUICK, rate=1e-4)), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_thousandth_round_comes_after_the_one_before(learner, tmp_path):
    done = recover(learner, request(schedule=Schedule("one_shot", 0.0, 0.5, 1)), tmp_path)
    for n in (999, 1000):
        write_checkpoint(tmp_path, replace(done._checkpoint(), history=done.history * n))
    assert len(last_checkpoint(tmp_path, done.key).history) == 1000


def test_a_copy_that_somebody_made_of_a_round_is_in_nobody_s_way(learner, tmp_path):
    first = recover(learner, request(), tmp_path)
    (tmp_path / "round-002 (copy).safetensors").write_bytes(path_of(tmp_path, 2).read_bytes())
    assert recover(learner, request(), tmp_path).history == first.history


def test_of_a_parameter_that_is_a_single_number_only_the_count_of_steps_stays_on_the_cpu():
    model = nn.Module()
    model.temperature = nn.Parameter(torch.tensor(1.0, device="meta"))
    optimiser = torch.optim.AdamW(model.parameters())
    remembered = {("temperature", key): torch.tensor(0.5) for key in ("step", "exp_avg", "exp_avg_sq")}
    put_optimiser_state(model, optimiser, remembered)
    found = {key: value.device.type for key, value in optimiser.state[model.temperature].items()}
    assert found == {"step": "cpu", "exp_avg": "meta", "exp_avg_sq": "meta"}


@pytest.mark.parametrize("final", [0.3, 0.9])
@pytest.mark.parametrize("how", ["recovered", "by somebody else"])
def test_what_was_pruned_before_stays_gone_whatever_is_asked_for(learner, tmp_path, how, final):
    recover(learner, request(schedule=Schedule("one_shot", 0.0, 0.8, 1)), tmp_path)
    sparse = recovered(learner, path_of(tmp_path, 1))
    assert sparse.teacher is learner.model
    if how != "recovered":
        sparse = replace(sparse, teacher=None)
    zeros = {name: tensor == 0 for name, tensor in sparse.model.named_parameters() if name.endswith("weight")}
    rows = []
    result = IterativePruner(0.0, final, 3).run(sparse, QUICK, on_round=rows.append)
    for name, tensor in result.model.named_parameters():
        assert name not in zeros or not tensor[zeros[name]].any()
    assert [row.sparsity >= 0.79 for row in result.history] == [True] * 3
    if how == "recovered":  # drops are from the model before all cuts
        with Measurement(learner, None, "all") as measurement:
            dense = measurement.dense()
        assert result.history[0].drop.value == pytest.approx(dense.value - result.history[0].after.value)


def test_rolled_back_to_a_round_the_rest_is_what_it_would_have_been(learner, tmp_path):
    whole = recover(learner, request(), tmp_path / "whole")
    start = str(path_of(tmp_path / "whole", 1))
    again = recover(learner, request(start=start), tmp_path / "again")
    assert same(state(whole.model), state(again.model))
    assert again.history[0] == whole.history[0]
    other = recover(learner, request(start=start, how=replace(QUICK, optimiser="sgd", rate=1e-4)))
    assert [row.iteration for row in other.history] == [1, 2, 3]
    assert not same(state(whole.model), state(other.model))


def test_a_round_of_other_weights_or_the_last_one_is_no_start(learner, trained_state, tmp_path):
    recover(learner, request(), tmp_path)
    with pytest.raises(SecateurError, match="round 3 and the schedule has 3: nothing is left to do"):
        recover(learner, request(start=str(path_of(tmp_path, 3))))
    with torch.no_grad():
        learner.model.fc1.weight[0, 0] += 1
    with pytest.raises(SecateurError, match="was made of other dense weights"):
        recover(learner, request(start=str(path_of(tmp_path, 1))))
    with pytest.raises(SecateurError, match="is no checkpoint of a recovery"):
        recover(learner, request(start=str(tmp_path / "nothing.safetensors")))


def test_other_evaluation_data_are_never_served_the_rounds_of_these(learner, tmp_path):
    first = recover(learner, request(), tmp_path)
    fewer = replace(learner, evaluation=learner.evaluation.first(200))
    with pytest.raises(SecateurError, match="of another recovery"):
        recover(fewer, request(), tmp_path)
    again = recover(fewer, request(), tmp_path / "fewer")
    assert (first.history[0].after.n, again.history[0].after.n) == (300, 200)
    assert again.key != first.key


def test_a_damaged_checkpoint_is_done_again(learner, tmp_path):
    first = recover(learner, request(), tmp_path)
    path = path_of(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SecateurError, match="is no checkpoint of a recovery, or damaged"):
        read_checkpoint(path)
    assert len(last_checkpoint(tmp_path, first.key).history) == 2
    assert same(state(first.model), state(recover(learner, request(), tmp_path).model))


def test_a_loss_that_becomes_nan_stops_with_the_last_good_round_kept(learner, tmp_path):
    first = recover(learner, request(schedule=Schedule("given", given=(0.3,))))
    poisoned = {"on": False}

    def spoil(x, generator):
        return x * float("nan") if poisoned["on"] else x

    def on_round(history):
        poisoned["on"] = True

    bad = replace(learner, augment=spoil)
    with Measurement(bad, None, "all") as measurement:
        two = request(schedule=Schedule("given", given=(0.3, 0.6)))
        recovery = Recovery(measurement, two, tmp_path, on_round=on_round)
        with pytest.raises(DivergedError, match=r"loss became nan in step 1 of 6 of round 2.*round 1 is kept"):
            recovery.run()
    assert len(recovery.history) == 1
    assert same(state(recovery.model), state(first.model))
    diverging = replace(QUICK, optimiser="sgd", rate=1e30, clip=0.0, warmup=0.0)
    with pytest.raises(DivergedError, match=r"lower the learning rate.*the dense model is what is left"):
        recover(learner, request(how=diverging))


def test_a_disk_that_is_full_keeps_what_there_was(learner, tmp_path, monkeypatch):
    def full(tensors, path, metadata):
        if "round-002" in str(path):
            raise OSError(28, "No space left on device")
        save(tensors, path, metadata)

    from core.recovery import checkpoint

    save = checkpoint.save_file
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(
        SecateurError, match=r"round 2, .*round-002\.safetensors, could not be written.*No space left.*round 1 is kept"
    ):
        recover(learner, request(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["round-001.safetensors"]


def test_early_stopping_ends_a_round_before_its_time(learner):
    still = replace(QUICK, steps=None, epochs=50, rate=0.0, patience=2, validation=0.25, recalibrate=False)
    (row,) = recover(learner, request(schedule=Schedule("one_shot", 0.0, 0.5, 1), how=still)).history
    assert row.steps == 3 * 10  # 300 examples: 10 steps; one epoch is best, two are waited for


def test_hints_and_the_dense_model_alone_can_teach(learner):
    unlabelled = replace(learner, metric=cosine_to_dense(), evaluation=Examples(learner.evaluation.inputs))
    how = replace(QUICK, steps=40, distillation=1.0, hints=("bn",))
    schedule = Schedule("one_shot", 0.0, 0.6, 1)
    taught = recover(unlabelled, request(schedule=schedule, how=how)).history[-1]
    assert taught.after.value > taught.before.value
    with pytest.raises(SecateurError, match="has no loss to train by; learn from the dense model"):
        recover(unlabelled, request(how=replace(how, distillation=0.0)))
    with pytest.raises(SecateurError, match="no module 'layer9' to take hints from"):
        recover(learner, request(how=replace(how, hints=("layer9",))))


def test_no_training_data_is_refused_with_what_to_add(learner):
    with pytest.raises(SecateurError, match=r"no training data to recover with; give the workload training=Examples"):
        recover(replace(learner, training=None), request())


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (SparsityPlan(), "cuts nothing"),
        (SparsityPlan((Cut("fc1", sparsity=0.5, criterion="sparsegpt"),)), "choose wanda or magnitude"),
        (SparsityPlan((Cut("fc9", sparsity=0.5),)), "no weight target 'fc9'"),
    ],
)
def test_a_plan_that_cannot_be_held_is_refused(learner, plan, message):
    with pytest.raises(SecateurError, match=message):
        recover(learner, request(plan))


def test_batch_statistics_become_those_of_the_pruned_model(learner):
    model = learner.model
    with torch.no_grad():
        model.fc1.weight.mul_(3)
        assert recalibrate(model, learner.training, 100)
        seen = model.fc1(learner.training.inputs[0])
    assert torch.allclose(model.bn.running_mean, seen.mean(0), atol=1e-4)
    assert model.bn.momentum == 0.1
    assert not model.training
    assert not recalibrate(nn.Linear(2, 2), learner.training, 100)


def test_the_pruner_by_its_seed_of_an_idea(learner, tmp_path):
    pruner = IterativePruner(initial_sparsity=0.0, final_sparsity=0.75, num_iterations=3, schedule="linear")
    assert pruner.get_schedule() == pytest.approx((0.25, 0.5, 0.75))
    dense = state(learner.model)
    result = pruner.run(learner, QUICK, folder=tmp_path)
    assert [(row.iteration, round(row.sparsity, 2)) for row in result.history] == [(1, 0.25), (2, 0.5), (3, 0.75)]
    weights = [result.model.fc1.weight, result.model.fc2.weight]
    assert sum(int((w == 0).sum()) for w in weights) == 270
    assert same(dense, state(learner.model))
    assert not result.model.training


def test_attention_heads_go_one_after_the_other(attentive):
    workload = replace(attentive, training=Examples(torch.randn(30, 5, 8), torch.randint(0, 3, (30,))))
    with Measurement(workload, None, "all") as measurement:
        heads = [target for target in measurement.targets if target.granularity == "head"]
        plan = SparsityPlan(tuple(Cut(target.name, "head") for target in heads[:2]))
        recovery = Recovery(measurement, request(plan, Schedule("linear", 0.0, 0.9, 2)))
        recovery.run()
    assert [row.sparsity for row in recovery.history] == sorted(row.sparsity for row in recovery.history)
    assert recovery.history[0].sparsity < recovery.history[1].sparsity


def test_other_calibration_data_are_another_recovery_for_they_decide_what_goes(learner):
    keys = set()
    for calibration in (learner.calibration, learner.calibration.first(49), None):
        with Measurement(replace(learner, calibration=calibration), None, "all") as measurement:
            keys.add(Recovery(measurement, request(PLANS["wanda"] if calibration else None)).key)
    assert len(keys) == 3


def test_a_round_judged_on_other_examples_is_no_start(learner, tmp_path):
    recover(learner, request(), tmp_path)
    fewer = replace(learner, evaluation=learner.evaluation.first(200))
    with pytest.raises(SecateurError, match=r"and 200 are asked for now"):
        recover(fewer, request(start=str(path_of(tmp_path, 1))))


def test_a_single_training_example_trains_and_what_came_of_it_is_told(learner):
    one = replace(learner, training=learner.training.first(1))
    plain = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 3)).eval()
    history = recover(replace(one, model=plain), request(how=replace(QUICK, batch_size=1))).history
    assert [row.steps for row in history] == [6, 6, 6]
    with pytest.raises(SecateurError, match="batch normalisation cannot be trained on batches of 1"):
        recover(one, request())


def test_a_batch_larger_than_the_training_data_is_all_of_them(learner):
    whole = recover(learner, request(how=replace(QUICK, batch_size=400)))
    larger = recover(learner, request(how=replace(QUICK, batch_size=4_000)))
    assert same(state(whole.model), state(larger.model))
    assert [row.steps for row in larger.history] == [6, 6, 6]


def test_a_model_of_one_layer_is_pruned_to_the_weight(learner):
    single = replace(learner, model=nn.Linear(12, 3).eval())
    recovery = recover(single, request(schedule=Schedule("linear", 0.0, 0.5, 2)))
    assert int((recovery.model.weight == 0).sum()) == 18
    assert recovery.history[-1].after.n == 300


def test_a_validation_share_that_leaves_nothing_to_train_on_is_refused(learner):
    few = replace(learner, training=learner.training.first(3))
    greedy = replace(QUICK, patience=1, validation=0.9)
    with pytest.raises(SecateurError, match=r"validation of 0\.9 holds back all 3 training examples; take less"):
        recover(few, request(how=greedy))


def test_training_alone_leaves_what_was_pruned_before_at_zero(learner):
    with torch.no_grad():
        learner.model.fc1.weight[:12] = 0
    (row,) = recover(learner, request(schedule=Schedule("one_shot", 0.0, 0.0, 1)), None).history
    result = IterativePruner(final_sparsity=0.0, num_iterations=1).run(learner, QUICK)
    assert not result.model.fc1.weight[:12].any()
    assert not torch.equal(result.model.fc1.weight[12:], learner.model.fc1.weight[12:])
    assert row.sparsity == 144 / 360


@pytest.mark.parametrize(("n", "batch_size"), [(1, 32), (400, 1)])
def test_batch_statistics_are_never_those_of_a_layer_that_has_seen_nothing(learner, n, batch_size):
    """Reset, and then fed by no batch of more than one, they would be mean 0 and variance 1 without a word."""
    before = state(learner.model)
    assert recalibrate(learner.model, learner.training.first(n), batch_size) == (n > 1)
    if n == 1:
        assert same(before, state(learner.model))
        return
    with torch.no_grad():
        seen = learner.model.fc1(learner.training.inputs[0])
    assert torch.allclose(learner.model.bn.running_mean, seen.mean(0), atol=1e-4)


def test_a_loss_that_becomes_nan_in_the_middle_of_a_round_names_the_step_and_leaves_sound_rounds(learner, tmp_path):
    at = [(0, 0)]
    spoilt = replace(learner, augment=lambda x, generator: x * float("nan") if at[-1] == (2, 3) else x)
    with pytest.raises(DivergedError, match=r"loss became nan in step 4 of 6 of round 2.*round 1 is kept"):
        recover(spoilt, request(), tmp_path, on_step=lambda step: at.append((step.iteration, step.step)))
    assert [path.name for path in tmp_path.iterdir()] == ["round-001.safetensors"]
    first = read_checkpoint(path_of(tmp_path, 1))
    for tensors in (first.model, first.optimiser):
        assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_plan_for_another_model_is_refused_before_anything_is_trained(learner):
    told = []
    with pytest.raises(SecateurError, match=r"no weight target 'encoder\.0'"):
        recover(learner, request(SparsityPlan((Cut("encoder.0", sparsity=0.5),))), on_step=told.append)
    assert not told


def test_another_loss_to_train_by_is_another_recovery(learner, tmp_path):
    def doubled(outputs, labels):
        return 2 * nn.functional.cross_entropy(outputs, labels, reduction="none")

    with Measurement(learner, None, "all") as measurement:
        key = Recovery(measurement, request()).key
    other = replace(learner, metric=replace(learner.metric, loss=doubled))
    with Measurement(other, None, "all") as measurement:
        assert Recovery(measurement, request()).key != key


def test_a_round_that_stops_early_hands_on_what_the_optimiser_knew_of_its_best_weights(learner, tmp_path):
    how = replace(QUICK, steps=None, epochs=1, recalibrate=False, patience=1, validation=0.25, rate=1e-3, warmup=0.0)
    one = Schedule("one_shot", 0.0, 0.5, 1)
    short = recover(learner, request(schedule=one, how=replace(how, decay="constant")), tmp_path / "short")
    worse = replace(how, decay="constant", epochs=2, rate=1e-3)
    steps = {}

    def spoil(step):
        steps["now"] = step.step
        if step.step == 11:  # the second epoch makes it worse, so the first one's weights are kept
            with torch.no_grad():
                long.model.fc2.bias.add_(torch.tensor([5.0, -5.0, 0.0]))

    with Measurement(learner, None, "all") as measurement:
        long = Recovery(measurement, request(schedule=one, how=worse), tmp_path / "long", on_step=spoil)
        long.run()
    assert steps["now"] == 20
    kept, wanted = (read_checkpoint(path_of(tmp_path / name, 1)) for name in ("long", "short"))
    assert same(kept.model, wanted.model)
    assert same(kept.optimiser, wanted.optimiser)
    assert short.history[-1].after == long.history[-1].after


def test_which_head_goes_next_is_decided_by_the_weights_of_that_round(attentive):
    plan = SparsityPlan(tuple(Cut(f"attn:{i}", "head") for i in range(2)))
    workload = replace(attentive, training=Examples(torch.randn(30, 5, 8), torch.randint(0, 3, (30,))))
    with Measurement(workload, None, "all") as measurement:
        recovery = Recovery(measurement, request(plan, Schedule("linear", 0.0, 0.5, 2)))
        first = recovery.plans.of_round(1, recovery.model, recovery.masks).cuts
        names = [name for name, _ in recovery.model.named_parameters() if "out_proj.weight" in name]
        width = recovery.model.get_parameter(names[0]).shape[1]
        n_heads = len([t for t in measurement.targets if t.granularity == "head"])
        head = int(first[0].target.rpartition(":")[2])
        with torch.no_grad():  # now this head is read more than any other
            recovery.model.get_parameter(names[0])[:, head * width // n_heads : (head + 1) * width // n_heads] *= 100
        assert len(first) == 1
        assert recovery.plans.of_round(1, recovery.model, recovery.masks).cuts != first


@pytest.mark.parametrize("name", ["weights", "2:4", "channels", None])
def test_what_is_planned_is_what_is_gone_in_the_end(learner, name):
    asked = request(PLANS[name] if name else None, Schedule("cubic", 0.0, 0.9, 3), replace(QUICK, steps=0))
    with Measurement(learner, None, "all") as measurement:
        recovery = Recovery(measurement, asked)
        planned = recovery.plans.planned
        recovery.run()
    assert len(planned) == 3
    assert list(planned) == sorted(planned)
    assert planned[-1] == pytest.approx(recovery.history[-1].sparsity, abs=0.005)
