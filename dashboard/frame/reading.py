"""Until a worker has read the chosen model, no screen can say anything about it."""

import streamlit as st

from core import numbers
from core.workload.loading import sample_names
from core.workload.sources.reference import runs_python
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw

LONG_SECONDS = 10.0
MEND_FILE = "Mend the file and try again: it is read anew each time, in a process of its own; nothing else is lost."
MEND_FILES = "Mend what the line names and try again, or open it with other data, task or columns by *Yours*."


def draw(ref: str) -> bool:
    """Say that the model is being read, or why it cannot be. Returns whether it has been read.

    A page that loads runs no file: an address can name any model of the list. A sample is ours; a file is read when
    somebody names it to `secateur`, or clicks here.
    """
    if workbench.is_stranger(ref):
        python = runs_python(ref)
        why = "its file is run as Python" if python else "it names files on this machine"
        st.warning(
            f"This model came with a merged workspace. What was measured of it is shown; nothing is loaded, for {why}: "
            f"`{ref}`. Look at it before you confirm.",
            icon=":material/gpp_maybe:",
        )
        if st.button(
            "Let this file be run" if python else "Let these files be read",
            icon=":material/check:",
            key=f"confirm-{ref}",
        ):
            workbench.confirm(ref)
            redraw()
        return workbench.description(ref) is not None
    if workbench.is_read_only() and workbench.description(ref) is None:
        st.info(f"Nobody has read {workbench.short_name(ref)} in this workspace.", icon=":material/lock:")
        return False
    problem = workbench.reading_problem(ref)
    if problem:
        help.refusal(f"{workbench.short_name(ref)} could not be read: {problem}")
        if ref not in sample_names():
            st.caption(MEND_FILE if runs_python(ref) else MEND_FILES)
        if st.button("Try again", icon=":material/refresh:", type="primary"):
            workbench.read_again(ref)
            redraw()
    if workbench.description(ref) is not None:
        return True
    if not problem:
        if not workbench.is_being_read(ref):
            if ref not in sample_names():
                _ask(ref)
                return False
            workbench.read_again(ref)
        _wait(ref)
    return False


def _ask(ref: str) -> None:
    what = "runs its file as Python" if runs_python(ref) else "loads its files"
    st.info(f"Nobody has read this model here yet. Reading {what}: `{ref}`.", icon=":material/info:")
    if st.button("Read it", icon=":material/play_arrow:", key=f"read-{ref}"):
        workbench.read_again(ref)
        redraw()


@st.fragment(run_every=workbench.READING_SECONDS)
def _wait(ref: str) -> None:
    if workbench.description(ref) is not None or workbench.reading_problem(ref):
        redraw()
    seconds = workbench.reading_seconds(ref) or 0.0
    long = f" It has taken {numbers.seconds_text(seconds)} so far." if seconds > LONG_SECONDS else ""
    st.info(
        f"Reading {workbench.short_name(ref)} in a worker process; it takes a few seconds the first time.{long}",
        icon=":material/hourglass_top:",
    )
