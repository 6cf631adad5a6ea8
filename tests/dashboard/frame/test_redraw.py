"""A screen that is drawn again gives way to what somebody has clicked meanwhile."""

import re
from pathlib import Path

from streamlit.testing.v1 import AppTest

import dashboard


def clicked_while_drawing():
    """Another screen is asked for while this one is drawn; then this one, as when a run has ended, is drawn again."""
    import streamlit as st
    from streamlit.runtime.scriptrunner import RerunData, RerunException, get_script_run_ctx

    from dashboard.frame.fragment import redraw

    get_script_run_ctx().script_requests.request_rerun(RerunData(page_script_hash="the other screen"))
    try:
        redraw()
    except RerunException as request:
        st.session_state["goes to"] = request.rerun_data.page_script_hash


def test_a_click_on_another_screen_is_not_lost_to_a_run_that_ends_meanwhile():
    app = AppTest.from_function(clicked_while_drawing).run()
    assert not app.exception
    assert app.session_state["goes to"] == "the other screen"


def test_nothing_is_drawn_again_in_any_other_way():
    root = Path(dashboard.__file__).parent
    calling = {p.relative_to(root).as_posix() for p in root.rglob("*.py") if re.search(r"\.rerun\(", p.read_text())}
    assert calling == {"frame/fragment.py"}
