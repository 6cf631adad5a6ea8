"""Until a worker has read the chosen model, no screen can say anything about it."""

import streamlit as st

from dashboard.frame import help, workbench


def draw(ref: str) -> bool:
    """Say that the model is being read, or why it cannot be. Returns whether it has been read."""
    problem = workbench.reading_problem(ref)
    if problem:
        help.refusal(f"{workbench.short_name(ref)} could not be read: {problem}")
        if st.button("Try again", icon=":material/refresh:"):
            workbench.read_again(ref)
            st.rerun()
    if workbench.description(ref) is not None:
        return True
    if not problem:
        if not workbench.is_being_read(ref):
            workbench.read_again(ref)
        _wait(ref)
    return False


@st.fragment(run_every=workbench.READING_SECONDS)
def _wait(ref: str) -> None:
    if workbench.description(ref) is not None or workbench.reading_problem(ref):
        st.rerun()
    st.info(
        f"Reading {workbench.short_name(ref)} in a worker process; it takes a few seconds the first time.",
        icon=":material/hourglass_top:",
    )
