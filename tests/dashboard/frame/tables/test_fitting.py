"""Tables fit the window: secondary columns give way, figures never."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from dashboard.frame.tables.fitting import fit, n_once

PLANS = pd.DataFrame(
    {
        "plan": ["7807c19a", "0672d5ef"],
        "made by": ["not known", "the solver"],
        "measured, points": ["+14.10 [+13.09, +15.10]", "+7.50 [+6.82, +8.17]"],
        "since": pd.to_datetime(["2026-11-30 19:46", "2026-11-30 19:47"]),
    }
)
SECONDARY = ("since", "made by")


def test_with_room_for_all_nothing_is_left_out():
    found = fit(PLANS, 900, SECONDARY)
    assert tuple(found.columns) == tuple(PLANS)
    assert found.left_out == ()


def test_in_a_narrow_window_secondary_columns_give_way_the_first_named_first():
    assert fit(PLANS, 400, SECONDARY).left_out == ("since",)
    found = fit(PLANS, 280, SECONDARY)
    assert tuple(found.columns) == ("plan", "measured, points")
    assert found.left_out == ("made by", "since")


def test_figures_keep_their_width_when_nothing_else_can_give_way_and_words_do_not():
    whole = fit(PLANS, 2000).columns
    squeezed = fit(PLANS, 10).columns
    assert squeezed["measured, points"] == whole["measured, points"]
    assert squeezed["made by"] < whole["made by"]


def test_the_end_of_a_long_name_stands_in_its_column_and_a_long_sentence_is_cut():
    name, sentence = "vision_model.encoder.layers." * 3, "one layer and another " * 9
    found = fit(pd.DataFrame({"target": [name], "who": [sentence]}), 5000).columns
    assert found["target"] > 6.5 * len(name)
    assert found["who"] == 360


def test_a_column_is_as_wide_as_its_figures_in_the_format_that_is_shown():
    frame = pd.DataFrame({"removed": [12.3456789], "weights": [147456000]})
    formats = {"removed": {"type_config": {"type": "number", "format": "%.0f %%"}}}
    found = fit(frame, 5000, (), formats).columns
    assert found["removed"] < 90 <= found["weights"]


@given(room=st.integers(0, 900))
def test_what_is_shown_fits_or_all_that_may_give_way_has(room):
    found = fit(PLANS, room, SECONDARY)
    assert set(found.columns) | set(found.left_out) == set(PLANS)
    assert sum(found.columns.values()) <= room or set(found.left_out) == set(SECONDARY)


def test_an_n_that_all_cells_share_is_said_once():
    frame = pd.DataFrame({"drop": ["+1.00 [0.50, 1.50], n = 10,000", "not measured", "+2.00, n = 10,000"]})
    shown, said = n_once(frame)
    assert said == "n = 10,000 throughout."
    assert shown["drop"].tolist() == ["+1.00 [0.50, 1.50]", "not measured", "+2.00"]


def test_columns_that_go_by_other_numbers_are_told_apart():
    frame = pd.DataFrame(
        {"accuracy": ["92.40 %, n = 120", "88.90 %, n = 120"], "drop": ["", "+3.50, n = 120"], "ms": ["1, n = 30"] * 2}
    )
    shown, said = n_once(frame)
    assert said == "n = 120 of accuracy and drop. n = 30 of ms."
    assert shown["drop"].tolist() == ["", "+3.50"]


def test_an_n_that_differs_or_stands_alone_stays_where_it_is():
    for cells in (["+1.00, n = 10", "+1.00, n = 20"], ["+1.00, n = 10", "not measured"]):
        shown, said = n_once(pd.DataFrame({"drop": cells}))
        assert said == ""
        assert shown["drop"].tolist() == cells
