"""Every table of a screen is drawn in one way, so that all of them fit the window."""

import re
from pathlib import Path

from streamlit.testing.v1 import AppTest

from dashboard.frame.tables.room import STACKED, STEPS, USUAL

DASHBOARD = Path(__file__).parents[4] / "dashboard"


def page() -> None:
    """A table of eight columns of which five may give way."""
    import pandas as pd

    from dashboard.frame.tables.table import table

    figures = {f"figure {i}": ["+7.50 [+6.82, +8.17], n = 10,000"] * 3 for i in range(8)}
    table(pd.DataFrame(figures), "Figures", secondary=[f"figure {i}" for i in (7, 6, 5, 4, 3)])


def drawn(room: int | None) -> tuple[list[str], str]:
    app = AppTest.from_function(page, default_timeout=30)
    if room is not None:
        app.session_state["room"] = {"room": room}
    app.run()
    assert not app.exception
    return list(app.dataframe[0].proto.column_order), " ".join(caption.value for caption in app.caption)


def test_a_wide_window_shows_every_column_and_n_once():
    columns, said = drawn(None)
    assert len(columns) == 7  # eight need more than any page has
    assert said == "n = 10,000 throughout. No room for: figure 7; the eye above the table shows them."


def test_a_narrow_window_leaves_out_what_is_secondary_and_names_it():
    columns, said = drawn(STACKED)
    assert columns == ["figure 0", "figure 1", "figure 2"]
    assert all(f"figure {i}" in said for i in range(3, 8))


def test_steps_rise_and_a_page_whose_browser_has_not_spoken_has_the_widest():
    assert list(STEPS) == sorted(set(STEPS))
    assert STEPS[-1] == USUAL
    assert STACKED in STEPS


def test_no_screen_draws_a_table_by_other_means():
    others = [path for path in DASHBOARD.rglob("*.py") if path.parent.name != "tables"]
    assert len(others) > 50
    found = [path.name for path in others if re.search(r"\bst\.(dataframe|table|data_editor)\(", path.read_text())]
    assert found == []
