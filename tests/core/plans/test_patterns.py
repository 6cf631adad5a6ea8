"""Patterns as text and values, and the plans that hold them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import Cut, SecateurError, SparsityPlan
from core.plans.patterns import Pattern, is_pattern, looked_up_as, parse_pattern
from core.workload.target import Target

n_of_m = st.integers(2, 32).flatmap(lambda m: st.builds(Pattern, st.integers(1, m - 1), st.just(m), st.just(False)))
tiles = st.builds(Pattern, st.integers(1, 64), st.integers(2, 64), st.just(True))


def target(*shape, **fields):
    n = 1
    for side in shape:
        n *= side
    return Target("layer", "weight", "Linear", "layer.weight", shape, n, **fields)


@given(pattern=n_of_m | tiles)
def test_a_pattern_survives_the_trip_through_text(pattern):
    assert parse_pattern(str(pattern)) == pattern
    assert is_pattern(str(pattern))


def test_patterns_by_hand():
    assert (parse_pattern("2:4"), parse_pattern("2:4").sparsity) == (Pattern(2, 4, False), 0.5)
    assert parse_pattern("1:4").sparsity == 0.75
    assert (parse_pattern("32x1"), parse_pattern("32x1").sparsity) == (Pattern(32, 1, True), None)
    assert [looked_up_as(word) for word in ("2:4", "4x4", "head", "channel")] == ["weight", "weight", "head", "channel"]


@pytest.mark.parametrize("text", ["4:2", "4:4", "2:33", "0:4", "2:4 ", "2/4", "", "4X4", "4x", "-1:4", "02:4", None, 2])
def test_what_is_no_pattern_is_told_what_one_is(text):
    with pytest.raises(SecateurError, match=r"a pattern is N:M with 1 <= N < M <= 32, as 2:4.*or ROWSxCOLUMNS.*; got "):
        parse_pattern(text)


def test_a_tile_of_one_weight_is_no_tile():
    with pytest.raises(SecateurError, match='single weights; cut them with granularity "weight"'):
        parse_pattern("1x1")


def test_n_of_m_has_one_sparsity_which_need_not_be_given():
    assert Cut("fc", "2:4") == Cut("fc", "2:4", 0.5, "magnitude")
    assert Cut("fc", "1:3", 0.666667) == Cut("fc", "1:3")  # as a person writes it
    with pytest.raises(SecateurError, match=r"sparsity of fc is 0.5, for 2:4 says so; got 0.6. Leave it out"):
        Cut("fc", "2:4", 0.6)
    with pytest.raises(SecateurError, match="for 2:4 says so; got 0"):
        Cut("fc", "2:4", 0)


def test_of_tiles_a_fraction_goes():
    assert Cut("fc", "4x4", 0.25).sparsity == 0.25
    with pytest.raises(SecateurError, match=r"sparsity of fc must be a fraction in \[0, 1\), got None"):
        Cut("fc", "4x4")


@pytest.mark.parametrize("granularity", ["weights", "2;4", None, 3])
def test_a_cut_of_no_known_granularity_names_words_and_patterns(granularity):
    with pytest.raises(SecateurError, match="one of weight, channel, head, kv_group, block, or a pattern, N:M with"):
        Cut("fc", granularity, 0.5)


def test_a_pattern_is_not_aligned():
    with pytest.raises(SecateurError, match="align of fc is for channels; a 2:4 cut has none"):
        Cut("fc", "2:4", align=8)


def test_a_plan_of_patterns_by_hand():
    plan = SparsityPlan((Cut("fc", "4x4", 0.5), Cut("fc", "2:4"), Cut("fc", "weight", 0.1), Cut("a", "4x4", 0.0)))
    assert json.loads(plan.to_json())["cuts"] == [
        {"target": "fc", "granularity": "2:4", "criterion": "magnitude", "sparsity": 0.5},
        {"target": "fc", "granularity": "4x4", "criterion": "magnitude", "sparsity": 0.5},
        {"target": "fc", "granularity": "weight", "criterion": "magnitude", "sparsity": 0.1},
    ]
    assert SparsityPlan.from_json(plan.to_json()) == plan
    with pytest.raises(SecateurError, match="names fc twice"):
        SparsityPlan((Cut("fc", "4x4", 0.5), Cut("fc", "4x4", 0.7)))


def test_a_file_with_n_of_m_may_leave_its_sparsity_out():
    text = json.dumps({"format": "secateur.plan", "version": 1, "workload": None,
                       "cuts": [{"target": "fc", "granularity": "2:4"}]})  # fmt: skip
    assert SparsityPlan.from_json(text).cuts == (Cut("fc", "2:4"),)


@pytest.mark.parametrize(
    ("cuts", "fingerprint"),
    [
        ((), "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"),
        ((Cut("conv1", "weight", 0.5),), "92ee0ce06cb6078bec48768bc4f6105b473b11ec54d449a952137ecef2a38e0d"),
        ((Cut("a:1", "head"),), "73b9295bb5ec716b9254ecda78c2ae5b347e06a5a7fee6c98df2b1a7f09aba54"),
        ((Cut("b", "block"),), "5d3fe7ff0e72880c5ee848f5cb762c095e9455d697d11b0b992cdd0fe2d50005"),
        ((Cut("c", "channel", 0.25, align=4),), "b7826b6dad0d2df8893eef0f322d189e97821b4907d95541dc8b8a396a8c0b8d"),
    ],
)
def test_what_was_measured_before_there_were_patterns_is_still_found(cuts, fingerprint):
    """Written down before they came: evidence on disk is kept under these."""
    assert SparsityPlan(cuts).fingerprint() == fingerprint


def test_cuts_that_differ_in_sparsity_alone_are_of_one_curve():
    cuts = [Cut("fc", "weight", 0.1), Cut("fc", "weight", 0.9), Cut("fc", "4x4", 0.5), Cut("fc", "4x4", 0.9),
            Cut("fc", "2:4")]  # fmt: skip
    assert [cut.curve for cut in cuts] == ["fc", "fc", "fc 4x4", "fc 4x4", "fc 2:4"]
    assert Cut("fc", "channel", 0.5).curve == "channels of fc"  # a group is named after a layer of it


@pytest.mark.parametrize(
    ("text", "layer", "reason"),
    [
        ("2:4", target(3, 6), "2:4 needs a multiple of 4 inputs, and layer has 6"),
        ("2:4", target(8, 1, 3, 3), "2:4 needs a multiple of 4 inputs, and layer has 1"),
        ("4x4", target(6, 8), "layer is 6 x 8 as outputs x inputs, which tiles of 4x4 do not divide"),
        ("4x4", target(8, 2, 3, 3), "layer is 8 x 18 as outputs x inputs"),
        ("2:4", target(8, 8), None),
        ("1x16", target(3, 16), None),
        ("4x4", target(8, 4, 3, 3), None),
        ("2:4", target(8, 8, 3, 3, layout="inputs_first"), "is a transposed convolution"),
        ("2:4", target(8, 8, layout="looked_up"), "rows are looked up, not multiplied"),
        ("2:4", target(8, 8, layout="looked_up", shared_with=("head.weight",)), None),  # a linear layer reads it too
        ("4x4", target(8, 8, 8, layout="two_inputs"), "has two input dimensions"),
    ],
)
def test_why_a_layer_cannot_be_cut_in_a_pattern(text, layer, reason):
    found = parse_pattern(text).why_not(layer)
    assert found is None if reason is None else reason in found


def test_a_plan_of_one_pattern_leaves_out_what_cannot_have_it():
    plan = SparsityPlan.patterned([target(8, 8), Target("small", "weight", "Linear", "s", (3, 6), 18)], "2:4")
    assert plan.cuts == (Cut("layer", "2:4"),)
