"""What is set aside for certificates: always the same, never in an order that somebody chooses by."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from core import Examples, SecateurError, Workload, accuracy, cross_entropy, f1
from core.sensitivity.forwards.batches import Batches, batches_of
from core.sensitivity.forwards.set_aside import certified_on, order_of, set_aside_note
from core.sensitivity.measuring.measurement import Measurement

pytestmark = pytest.mark.model


def workload(n, holdout=None, **more):
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(1))
    return Workload(
        "w", nn.Linear(4, 3), Examples(x, x[:, :3].argmax(1)), accuracy(), holdout=holdout, batch_size=100, **more
    )


def other_examples(n):
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(2))
    return Examples(x, x[:, :3].argmax(1))


def test_a_fifth_is_set_aside_the_end_of_the_order_of_seed_0():
    w = workload(1000)
    drawn = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(order_of(w, 0, "open"), drawn[:800])
    assert torch.equal(order_of(w, 0, "held"), drawn[800:])
    assert torch.equal(order_of(w, 0, "whole"), drawn)
    assert (w.n_open, w.n_held) == (800, 200)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_no_order_of_any_seed_has_what_is_set_aside(seed):
    w = workload(1500)
    held = set(order_of(w, 0, "held").tolist())
    free = order_of(w, seed, "open").tolist()
    assert set(order_of(w, seed, "held").tolist()) == held
    assert not held & set(free)
    assert held | set(free) == set(range(1500))
    assert order_of(w, seed, "whole").tolist()[: len(free)] == free


def test_what_was_measured_on_the_first_examples_before_is_measured_on_the_same_batches_now():
    w = workload(1000)
    before = Batches(w.evaluation, 400, 100, 0)
    assert batches_of(w, 400, 0).keys == before.keys
    assert batches_of(w, "all", 0).keys[:5] == before.keys


def test_of_few_examples_none_is_set_aside_nor_where_the_workload_names_others():
    for w in (workload(999), workload(1500, other_examples(300))):
        assert w.n_held == 0
        assert len(batches_of(w, "all", 0).positions) > 0
        assert batches_of(w, "all", 0).n == len(w.evaluation)
    assert set_aside_note(workload(999)) is None
    assert "300" in set_aside_note(workload(1500, other_examples(300)))
    assert "200 of the 1,000" in set_aside_note(workload(1000))


def test_for_a_metric_that_has_no_bound_nothing_is_set_aside():
    w = workload(2000)
    assert w.n_held == 400
    assert replace(w, metric=cross_entropy()).n_held == 0
    assert replace(w, metric=f1()).n_held == 0


def test_all_means_all_that_are_not_set_aside_and_more_is_refused_with_the_mend():
    w = workload(1000)
    assert batches_of(w, "all", 0).n == batches_of(w, None, 0).n == batches_of(w, "all", 0, "whole").n == 800
    assert batches_of(replace(w, sweep_examples=900), None, 0).n == 800
    with pytest.raises(SecateurError, match=r"200 of the 1,000 .* set aside .* take 800 or fewer"):
        batches_of(w, 801, 0)
    assert batches_of(w, 801, 0, "whole").n == 801
    with pytest.raises(SecateurError, match="has 1,000"):
        batches_of(w, 1001, 0, "whole")


def test_a_measurement_says_what_it_did_not_look_at_or_did():
    w = workload(1000)
    with Measurement(w, None, 100) as measurement:
        assert any("200 of the 1,000" in note for note in measurement.notes())
    with Measurement(w, None, 900, part="whole") as measurement:
        assert any("100 of these examples were set aside" in note for note in measurement.notes())


@pytest.mark.parametrize("role", ["evaluation", "calibration", "training"])
def test_a_holdout_that_shares_examples_is_refused(role):
    given = other_examples(50)
    shared = given.first(7)
    w = workload(1000, given)
    mixed = {
        "evaluation": Examples(torch.cat([w.evaluation.inputs[0], *shared.inputs]),
                               torch.cat([w.evaluation.labels, shared.labels])),
        "calibration": shared,
        "training": shared,
    }[role]  # fmt: skip
    with pytest.raises(SecateurError, match=f"7 holdout .* are also {role} examples"):
        replace(w, **{role: mixed}).check()
    w.check()


def test_a_holdout_of_one_example_or_of_no_examples_is_refused():
    with pytest.raises(SecateurError, match=r"holdout of w has 1 example"):
        workload(100, other_examples(1)).check()
    with pytest.raises(SecateurError, match="holdout of workload"):
        workload(100, "file").check()


def test_what_is_named_is_certified_on_whole():
    w = certified_on(workload(1000, other_examples(2000)))
    assert len(w.evaluation) == 2000
    assert batches_of(w, 2000, 0, "whole").n == 2000
