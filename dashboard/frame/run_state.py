"""What is said of a run that ended before its time, on whichever screen: why, what is kept, the button that goes on."""

import streamlit as st

from core import numbers
from core.jobs.launch import resume
from core.jobs.run import Run
from core.jobs.state_words import ended_text, kept_text
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw


def draw(run: Run, kept: str = "", go_on: str = "Resume", what: str = "This run") -> None:
    """Why it ended before its time, and a button to go on.

    Args:
        run: any.
        kept: what of it is not lost; what it measured, unless that is said here in another way.
        go_on: label of the button.
        what: it is called.
    """
    if run.state == "failed":
        help.refusal(f"{what} failed: {run.error}")
    elif (why := ended_text(run)) is not None:
        done = f" after {numbers.share_text(run.share)} of its work" if run.total else ""
        st.warning(f"{what} {why}{done}. {kept or kept_text(run)}", icon=":material/stop_circle:")
    else:
        return
    if st.button(go_on, icon=":material/resume:", key=f"resume-{run.id}"):
        resume(workbench.runs(), run.id)
        redraw()
