"""A part of a screen tells of its own errors, and the rest of the screen stays."""

from streamlit.testing.v1 import AppTest


def page():
    import streamlit as st

    from core.errors import SecateurError
    from dashboard.frame.fragment import fragment

    def draw(words):
        if st.button("Go on"):
            raise SecateurError(words)

    fragment(draw)("the disk is full")
    st.caption("the rest")


def test_an_error_of_ours_is_shown_where_the_part_is():
    app = AppTest.from_function(page, default_timeout=30).run()
    assert not app.error
    app.button[0].click().run()
    assert [error.value for error in app.error] == ["the disk is full [What helps](manual/errors)"]
    assert [caption.value for caption in app.caption] == ["the rest"]
    assert not app.exception
