"""What a forward pass holds without what a plan takes, by hand on a pass of three moments."""

from dataclasses import asdict, replace
from json import dumps, loads

import pytest

from core import Cut, SecateurError, SparsityPlan
from core.plans.costs.left import plan_cost
from core.plans.costs.memory import aimed, at, peak_moment
from core.plans.costs.table import cost_table
from core.workload.description import BATCH, Cached, Description, Held, MemoryUse, keys_of, queries_of
from core.workload.target import Target
from tests.scales import ACCURACY

# weights 100 B all the time, of a's 8 channels 5 B each; then 40 B of a's channels, 64 B of both, 30 B of nobody's
A, B = (Target(name, "channel", "Conv2d", f"{name}.weight", (n, 1), n, n_units=n) for name, n in (("a", 8), ("b", 4)))
EXAMPLES = (1.0, ((BATCH, 1.0),))
USE = MemoryUse(
    (
        Held(0, 3, 60),
        Held(0, 3, 5, ((8, (("a", 1.0),)),)),
        Held(0, 1, 5, ((8, (("a", 1.0),)), EXAMPLES)),
        Held(1, 2, 1, ((8, (("a", 1.0),)), (8, (("b", 2.0),)), EXAMPLES)),
        Held(2, 3, 30, (EXAMPLES,)),
    ),
    (BATCH, "a", "b"),
    {"c": "where the dense model has aten.mm, it then has aten.bmm"},
    why_uncached="it reads no texts",
)
C = replace(B, name="c")
BLOCK = Target("d", "block", "Block", "skip d", (), 10)
FOUND = Description("net", "net", "f", ACCURACY, 9, None, None, 9, 20, (A, B, C, BLOCK), (), memory=USE)


def left(*cuts, found=FOUND):
    cost = plan_cost(SparsityPlan(cuts), found, "memory")
    return cost.value, cost.exact, cost.unmeasured


def test_the_peak_moves_to_another_moment_as_channels_go():
    assert left() == (60 + 40 + 64, True, ())
    assert left(Cut("b", "channel", 0.5)) == (60 + 40 + 40, True, ())  # of 64 B 32 stay: a's own 40 are more
    assert left(Cut("a", "channel", 0.5), Cut("b", "channel", 0.5)) == (60 + 20 + 30, True, ())  # 20, 16 and 30


def test_a_batch_counts_what_grows_with_it_and_nothing_else():
    assert left(found=at(FOUND, 3)) == (100 + 3 * 64, True, ())
    assert left(Cut("a", "weight", 0.5), found=at(FOUND, 3)) == (100 + 3 * 64, True, ())  # zeros are numbers


def test_what_is_not_understood_counts_as_saving_nothing_and_is_named():
    assert left(Cut("c", "channel", 0.5)) == (164, False, ("c",))
    assert left(Cut("d", "block"), Cut("b", "channel", 0.5)) == (140, False, ("d",))


def test_keys_and_values_of_every_position_come_on_top_and_go_with_their_heads():
    heads = tuple(Target(f"attn:{i}", "head", "A", "o.weight", (8, 8), 16, layer="attn", head=i) for i in range(4))
    groups = tuple(
        Target(f"attn:kv{i}", "kv_group", "A", "o.weight", (8, 8), 32, layer="attn", head=i) for i in range(2)
    )
    use = MemoryUse((Held(0, 1, 50),), (keys_of("attn"), queries_of("attn")), cached=(Cached("attn", 2, 16),))
    found = replace(FOUND, targets=(*heads, *groups), memory=use)
    assert left(found=at(found, 3, 7))[0] == 50 + 3 * 7 * 16
    assert left(Cut("attn:kv1", "kv_group"), found=at(found, 3, 7))[0] == 50 + 3 * 7 * 8
    one_of_each = Cut("attn:0", "head"), Cut("attn:2", "head")
    assert left(*one_of_each, found=at(found, 1, 7)) == (50 + 7 * 16, True, ())  # query heads keep nothing
    mixed = Cut("attn:kv1", "kv_group"), Cut("attn:0", "head")
    assert left(*mixed, found=at(found, 1, 7)) == (50 + 7 * 8, False, ("attn",))


@pytest.mark.parametrize(
    ("found", "batch", "length", "message"),
    [
        (FOUND, 0, None, "batch must be a whole number of at least 1, got 0"),
        (FOUND, 1, 0, "a cache's length must be a whole number of at least 1, got 0"),
        (FOUND, True, None, "whole number"),
        (FOUND, 1, 64, "keeps no keys and values from one word to the next (it reads no texts)"),
        (replace(FOUND, memory=None), 2, None, "was not counted yet; `secateur profile net` does"),
        (replace(FOUND, memory=MemoryUse((), (), {"": "its pass is odd"})), 2, None, "cannot be told: its pass is odd"),
        (replace(FOUND, memory=replace(USE, refused={BATCH: "odd"})), 2, None, "known at a batch of 1 only: odd"),
    ],
)
def test_what_makes_no_sense_is_refused(found, batch, length, message):
    with pytest.raises(SecateurError) as error:
        at(found, batch, length)
    assert message in str(error.value)


def test_without_a_count_memory_is_refused_with_the_mend():
    with pytest.raises(SecateurError, match="secateur profile net"):
        plan_cost(SparsityPlan(), replace(FOUND, memory=None), "memory")


def test_rows_add_up_at_the_moment_at_which_the_dense_model_holds_most_or_where_one_aims():
    half_a, half_b = Cut("a", "channel", 0.5), Cut("b", "channel", 0.5)
    table = cost_table([(None, half_a), (None, half_b), (None, Cut("c", "channel", 0.5))], FOUND, "memory")
    assert table.rows == ((20 + 32, 0), (32, 0), (0, 0))
    assert table.left((0, 0, 0)) == 164
    both = SparsityPlan((half_a, half_b))
    assert (peak_moment(SparsityPlan(), FOUND), peak_moment(both, FOUND)) == (1, 2)
    aims = cost_table([(None, half_a), (None, half_b)], aimed(FOUND, both), "memory")
    assert aims.rows == (((52 + 20) / 2, 0), (32 / 2, 0))


def test_it_comes_back_from_json():
    assert MemoryUse.from_json(loads(dumps(asdict(USE)))) == USE
    assert Description.from_json(loads(dumps(FOUND.to_json()))) == FOUND
    document = {name: value for name, value in FOUND.to_json().items() if name != "memory"}
    assert Description.from_json(document).memory is None  # of a workspace of a former build
