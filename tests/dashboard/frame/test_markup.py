"""Text that Streamlit would read as Markdown is shown as it is."""

import pandas as pd

from dashboard.frame.markup import plain_cells, unbroken, without_markup


def test_what_markdown_would_take_for_marks_is_escaped_and_letters_are_not():
    assert without_markup("a_b [1, 2] 5 %") == r"a\_b \[1, 2\] 5 %"


def test_a_table_keeps_its_numbers_and_escapes_its_text():
    shown = plain_cells(pd.DataFrame({"round": [1], "gone": ["> 99 %"]}))
    assert shown.to_dict("list") == {"round": [1], "gone": ["\\> 99\N{NO-BREAK SPACE}%"]}


def test_a_figure_its_unit_interval_and_n_stay_on_one_line_and_words_may_part():
    text = unbroken("a drop of +7.50 points [+6.82, +8.17], n = 10,000, at 92.40 %")
    assert text.replace("\N{NO-BREAK SPACE}", "_") == ("a drop of +7.50_points [+6.82,_+8.17], n_=_10,000, at 92.40_%")
