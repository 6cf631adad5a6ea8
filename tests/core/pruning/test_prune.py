"""Pruning a workload: a copy is cut, measured beside the dense model, and told layer by layer."""

import pytest
import torch

from core import Cut, LayerStats, PruningConfig, SecateurError, SparsityPlan, prune
from core.pruning.wearing import pruned_copy


def test_half_of_each_layer_goes_and_is_told_layer_by_layer(hand):
    result = prune(hand, PruningConfig(target_sparsity=0.5))
    assert result.stats == (LayerStats("fc1", 4, 2, 0.5), LayerStats("fc2", 4, 2, 0.5))
    assert result.model.fc1.weight.tolist() == [[3, 0], [0, 2]]
    assert result.model.fc2.weight.tolist() == [[5, 0], [0, 4]]
    assert result.measurement.dense.value == 1
    assert result.measurement.outcome.metric.value == 1


def test_three_quarters_of_one_layer_lose_both_points_of_its_class(hand):
    result = prune(hand, SparsityPlan((Cut("fc2", "weight", 0.75),)))
    assert result.model.fc2.weight.tolist() == [[5, 0], [0, 0]]
    assert result.measurement.outcome.metric.value == 0.5
    assert result.measurement.outcome.drop.value == 0.5
    assert [stats.pruned_params for stats in result.stats] == [0, 3]


def test_the_dense_model_stays_dense(hand):
    before = hand.model.fc1.weight.detach().clone()
    prune(hand, PruningConfig(target_sparsity=0.75))
    assert torch.equal(hand.model.fc1.weight, before)


def test_an_empty_plan_is_the_dense_model_bit_for_bit(any_workload):
    result = prune(any_workload, SparsityPlan())
    dense, pruned = any_workload.model.state_dict(), result.model.state_dict()
    assert all(
        torch.equal(dense[name].view(-1).view(torch.uint8), pruned[name].view(-1).view(torch.uint8)) for name in dense
    )
    assert result.measurement.outcome.metric == result.measurement.dense
    assert result.measurement.outcome.drop.value == 0
    assert result.measurement.outcome.state == "no effect"


def test_a_removed_head_counts_where_its_columns_lie(attentive):
    result = prune(attentive, SparsityPlan((Cut("attn:0", "head"),)))
    assert {s.name: s.pruned_params for s in result.stats} == {"attn.in_proj": 0, "attn.out_proj": 32, "fc": 0}


def test_tied_weights_stay_tied_in_a_pruned_copy(tied_lm):
    model = prune(tied_lm, PruningConfig(0.5)).model
    assert model.head.weight is model.tokens.weight
    assert model.head.weight is not tied_lm.model.head.weight


def test_a_copy_shares_no_memory_with_the_dense_model(conv):
    copied = pruned_copy(conv.model, {})
    ours = {tensor.data_ptr() for tensor in copied.state_dict().values()}
    assert not ours & {tensor.data_ptr() for tensor in conv.model.state_dict().values()}


@pytest.mark.parametrize("sparsity", [1.0, 50, -0.1, float("nan"), True, "0.5", None])
def test_a_sparsity_that_is_no_fraction_is_refused(sparsity):
    with pytest.raises(SecateurError, match=r"must be a fraction in \[0, 1\).*Divide by 100"):
        PruningConfig(target_sparsity=sparsity)


def test_a_config_names_the_mend():
    with pytest.raises(SecateurError, match=r"no schedule 'cubic' without training; .* IterativePruner"):
        PruningConfig(schedule="cubic")
    with pytest.raises(SecateurError, match=r"1 iteration.*leave it at 1"):
        PruningConfig(num_iterations=3)


def test_an_unknown_method_target_device_or_number_of_samples_is_refused(hand):
    with pytest.raises(SecateurError, match="no criterion 'best'"):
        prune(hand, PruningConfig(method="best"))
    with pytest.raises(SecateurError, match="no weight target 'fc3'; did you mean"):
        prune(hand, SparsityPlan((Cut("fc3", "weight", 0.5),)))
    with pytest.raises(SecateurError, match=r"device 'warp' cannot be used here.*try --device cpu"):
        prune(hand, PruningConfig(), device="warp")
    for samples in (1, 0, -2, True, 2.5, "most"):
        with pytest.raises(SecateurError, match="samples must be a whole number of at least 2"):
            prune(hand, PruningConfig(), samples=samples)
