"""Numbers as people read them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import (
    CellResult,
    Cut,
    Estimate,
    Scale,
    numbers,
)
from core.plans import cut_words
from core.profiling import profile_words
from core.profiling.report import SpeedRatio
from core.sensitivity import sweep_words
from core.sensitivity.statistics.anytime import has_anytime
from tests.scales import (
    ACCURACY,
    AGREEMENT,
    COSINE_TO_DENSE,
    CROSS_ENTROPY,
    F1,
    KL_FROM_DENSE,
    PERPLEXITY,
    SPEARMAN,
    TOP_5,
)


@pytest.mark.parametrize(
    ("scale", "value", "text"),
    [(ACCURACY, 0.92678, "92.68 %"), (ACCURACY, 1, "100.00 %"), (PERPLEXITY, 4.9311, "4.931")],
)
def test_a_metric(scale, value, text):
    assert numbers.metric_text(scale, value) == text


@pytest.mark.parametrize(
    ("scale", "value", "text"),
    [
        (ACCURACY, 0.0125, "+1.25"),
        (ACCURACY, -0.001, "\N{MINUS SIGN}0.10"),
        (ACCURACY, -0.00001, "0.00"),
        (ACCURACY, 0.0, "0.00"),
        (PERPLEXITY, 0.5, "+0.500"),
    ],
)
def test_a_drop_has_a_sign_unless_it_is_nothing(scale, value, text):
    assert numbers.drop_text(scale, value) == text


def test_a_drop_with_its_interval():
    estimate = Estimate(0.0125, 0.006, 0.0195, 2000)
    assert numbers.drop_with_interval(ACCURACY, estimate) == "+1.25 points [+0.60, +1.95], n = 2,000"
    assert numbers.metric_with_interval(ACCURACY, Estimate(0.9268, 0.9215, 0.9317, 10_000)) == (
        "92.68 % [92.15, 93.17], n = 10,000"
    )
    assert numbers.drop_unit(PERPLEXITY) == "perplexity"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(17.6, "18 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (4200, "1 h 10 min"), (3599.7, "1 h 00 min")],
)
def test_seconds(seconds, text):
    assert numbers.seconds_text(seconds) == text


@pytest.mark.parametrize(("sparsity", "text"), [(0.95, "95 %"), (0.125, "12.5 %"), (0.1, "10 %"), (0.07, "7 %")])
def test_a_sparsity(sparsity, text):
    assert numbers.sparsity_text(sparsity) == text


def test_shares_and_shapes():
    assert [numbers.share_text(x) for x in (0.05, 0.003, 0.456)] == ["5 %", "0.3 %", "46 %"]
    assert numbers.shape_text((32, 16, 3, 3)) == "32 × 16 × 3 × 3"


def test_a_cell_says_why_it_has_no_number():
    def text(state, low=0.0, high=0.0, value=0.0):
        estimate = Estimate(value, low, high, 10)
        drop = estimate if state in ("measured", "no effect") else None
        return sweep_words.cell_text(ACCURACY, CellResult(Cut("fc", "weight", 0.5), 1, 2, state, drop, drop))

    assert [text(state) for state in ("waiting", "failed", "no effect")] == ["", "failed", "no eff."]
    assert text("measured", 0.005, 0.02, 0.0125) == "+1.2"
    assert text("measured", -0.005, 0.02, 0.0125) == "+1.2·"  # the interval holds zero


def test_a_scale_of_one_s_own_is_shown_in_its_unit():
    scale = Scale("F1", "points", True, None, None)
    assert numbers.metric_text(scale, 0.5) == "0.500 points"
    assert numbers.drop_unit(scale) == "points"


@pytest.mark.parametrize(
    ("scale", "value", "shown", "drop"),
    [
        (TOP_5, 0.9876, "98.76 % [97.76, 99.76], n = 500", "+1.25 points [+0.25, +2.25], n = 500"),
        (F1, 0.8321, "83.21 % [82.21, 84.21], n = 500", "+1.25 points [+0.25, +2.25], n = 500"),
        (SPEARMAN, 0.8321, "0.832 [0.822, 0.842], n = 500", "+0.013 Spearman [+0.0025, +0.022], n = 500"),
        (SPEARMAN, -0.5, "\N{MINUS SIGN}0.500 [\N{MINUS SIGN}0.510, \N{MINUS SIGN}0.490], n = 500", None),
        (AGREEMENT, 0.9, "90.00 % [89.00, 91.00], n = 500", "+1.25 points [+0.25, +2.25], n = 500"),
        (KL_FROM_DENSE, 0.0312, "0.031 nats [0.021, 0.041], n = 500", "+0.013 nats [+0.0025, +0.022], n = 500"),
        (COSINE_TO_DENSE, 0.98, "0.980 cosine [0.970, 0.990], n = 500", "+0.013 cosine [+0.0025, +0.022], n = 500"),
    ],
)
def test_every_scale_reads_well(scale, value, shown, drop):
    assert numbers.metric_with_interval(scale, Estimate(value, value - 0.01, value + 0.01, 500)) == shown
    if drop is not None:
        assert numbers.drop_with_interval(scale, Estimate(0.0125, 0.0025, 0.0225, 500)) == drop


@pytest.mark.parametrize(
    ("value", "metric", "drop"),
    [
        (0.00213, "0.0021", "+0.0021"),
        (0.00052, "0.00052", "+0.00052"),
        (-0.000521, "\N{MINUS SIGN}0.00052", "\N{MINUS SIGN}0.00052"),
        (0.0123, "0.012", "+0.012"),
        (0.5, "0.500", "+0.500"),
        (0.0, "0.000", "0.000"),
    ],
)
def test_a_small_number_keeps_its_significant_digits(value, metric, drop):
    assert numbers.metric_text(CROSS_ENTROPY, value) == f"{metric} nats"
    assert numbers.drop_text(CROSS_ENTROPY, value) == drop


def test_a_small_drop_keeps_its_digits_in_its_interval_and_in_a_cell():
    estimate = Estimate(0.00052, 0.0004, 0.00064, 500)
    assert numbers.drop_with_interval(CROSS_ENTROPY, estimate) == "+0.00052 nats [+0.00040, +0.00064], n = 500"
    cell = CellResult(Cut("fc", "weight", 0.5), 1, 2, "measured", estimate, estimate)
    assert sweep_words.cell_text(CROSS_ENTROPY, cell) == "+0.00052"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (1e-9, "< 0.1 %"),
        (0.0004, "< 0.1 %"),
        (0.0005, "0.1 %"),
        (0.994, "99 %"),
        (0.995, "> 99 %"),
        (1 - 1e-12, "> 99 %"),
        (1, "100 %"),
    ],
)
def test_only_nothing_is_0_percent_and_only_everything_100(share, text):
    assert numbers.share_text(share) == text


@given(share=st.floats(0, 1))
def test_a_share_of_something_is_never_rounded_to_nothing_or_all(share):
    assert (numbers.share_text(share) == "0 %") == (share == 0)
    assert (numbers.share_text(share) == "100 %") == (100 * share == 100)


def test_a_sparsity_is_never_rounded_to_everything():
    assert numbers.sparsity_text(0.99999) == "99.999 %"
    assert numbers.sparsity_text(0.333333) == "33.3333 %"


def test_a_slice_without_a_number_is_a_dash_and_never_0():
    assert sweep_words.slice_text(ACCURACY, None) == "–"
    assert sweep_words.slice_text(ACCURACY, Estimate(0.051, 0.01, 0.1, 50)) == "+5.1"
    assert sweep_words.slice_text(ACCURACY, Estimate(0.0, -0.01, 0.1, 50)) == "0.0·"


def test_several_slices_are_never_shown_without_a_warning():
    assert sweep_words.slices_note(1) == "Each 95 % interval is for its slice alone."
    assert "of 10 looked at together, the chance that all hold the truth is lower" in sweep_words.slices_note(10)


def test_broken_examples_are_counted_in_all_whatever_is_listed():
    assert sweep_words.broken_text(31, 12, 2000, 31) == "31 of 2,000 examples came out worse, 12 better."
    assert sweep_words.broken_text(31, 12, 2000, 5).endswith("12 better. The 5 largest losses are listed.")


def test_a_cell_that_did_not_see_all_examples_says_why():
    drop = Estimate(0.004, -0.01, 0.02, 500)
    cell = CellResult(Cut("fc", "weight", 0.5), 1, 2, "measured", drop, drop)
    within = replace(cell, stage="decided", verdict="within", tolerance=0.01)
    assert sweep_words.stage_text(ACCURACY, cell, 10_000) is None
    assert (
        sweep_words.stage_text(ACCURACY, within, 10_000)
        == "decided after 500 of 10,000 examples: all of them within 1.00 points, interval and all"
    )
    narrow = replace(cell, stage="decided")
    assert sweep_words.stage_text(ACCURACY, narrow, 10_000) == (
        "stopped after 500 of 10,000 examples: its interval is narrow enough"
    )
    assert sweep_words.stage_text(ACCURACY, replace(cell, stage="open"), 10_000) == "500 of 10,000 examples so far"


@pytest.mark.parametrize("scale", [ACCURACY, CROSS_ENTROPY, PERPLEXITY, F1, SPEARMAN])
def test_an_interval_is_said_to_hold_at_every_moment_only_where_one_does(scale):
    cell = CellResult(Cut("fc", "weight", 0.5), 1, 2, "measured", stage="open")
    assert ("moment" in sweep_words.interval_text(scale, cell)) == has_anytime(scale)
    assert sweep_words.interval_text(scale, replace(cell, stage="full")) == "95 % interval"


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_857_616, "1.86 MB"),
        (999_600, "1 MB"),
        (3e12, "3 TB"),
        (None, "–"),
    ],
)
def test_bytes(n, text):
    assert numbers.bytes_text(n) == text


def test_operations_and_times():
    assert [numbers.flops_text(x) for x in (16, 64_094_208, None)] == ["16 FLOP", "64.1 MFLOP", "–"]
    assert [numbers.milliseconds_text(x) for x in (0.0126, 0.00000123, -0.0004, 2.5, 0)] == [
        "12.6", "0.00123", "\N{MINUS SIGN}0.400", "2,500", "0",
    ]  # fmt: skip


def test_a_bound_is_never_rounded_onto_1_from_either_side():
    texts = [
        profile_words.ratio_interval(SpeedRatio("m", "eager", 1, 1, 1.2, low, 1.5, 9)) for low in (1.004, 0.9996, 1.0)
    ]
    assert texts == ["[1.004, 1.50]", "[0.9996, 1.50]", "[1.00, 1.50]"]


@pytest.mark.parametrize(
    ("cut", "text", "removed"),
    [
        (Cut("fc", "weight", 0.5), "fc at 50 %", "50 %"),
        (Cut("fc", "2:4"), "fc at 2:4", "2:4"),
        (Cut("fc", "4x4", 0.5), "fc at 50 % in tiles of 4x4", "50 % in tiles of 4x4"),
        (Cut("attn:1", "head"), "attn:1", "head"),
    ],
)
def test_a_cut_says_what_goes_and_in_which_pattern(cut, text, removed):
    assert (cut_words.cut_text(cut), cut_words.removed_text(cut)) == (text, removed)


@pytest.mark.parametrize("stage", ["forecast", "early", "open"])
def test_a_forecast_is_never_shown_as_if_it_were_measured(stage):
    drop = Estimate(0.02, 0.01, 0.03, 500)
    cell = CellResult(Cut("fc", "weight", 0.5), 1, 2, "measured", drop, drop, stage=stage, foreseen=True)
    assert sweep_words.interval_text(ACCURACY, cell) == "95 % interval as far as forecasts go"
    assert sweep_words.cell_text(ACCURACY, cell) in ("≈+2.0", "~+2.0", "+2.0")
    assert sweep_words.cell_text(ACCURACY, cell).startswith("≈") is (stage == "forecast")


def test_two_numbers_that_round_alike_are_told_apart_in_their_unit():
    assert numbers.exact_text(ACCURACY, 0.122134) == "12.2134 %"
    assert numbers.exact_text(ACCURACY, -0.0125031, is_drop=True) == "−1.25031 points"
    assert numbers.exact_text(CROSS_ENTROPY, 2.30002) == "2.30002 nats"


def test_one_is_told_as_one():
    said = [numbers.count_text(n, "batch", "batches") for n in (0, 1, 1200)]
    assert said == ["0 batches", "1 batch", "1,200 batches"]
    assert numbers.count_text(2, "run") == "2 runs"
