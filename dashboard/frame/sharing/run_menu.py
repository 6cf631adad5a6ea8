"""A run's name, note and star, to be changed beside where the run is chosen."""

import streamlit as st

from core.errors import SecateurError
from core.jobs.labels import label_run
from core.jobs.run import Run
from core.typed import LONGEST_NAME
from dashboard.frame import help, workbench

PROBLEM = "run-label-problem"


def draw(run: Run) -> None:
    """A small menu with the three; what was typed is kept as one leaves the field."""
    # of another key once it has changed: what a field shows is what the workspace holds, whoever wrote it
    name_key, note_key = f"run-name-{run.id}-{run.name}", f"run-note-{run.id}-{hash(run.note)}"
    star_key = f"run-star-{run.id}-{run.star}"
    with st.popover("Label", icon=":material/star:" if run.star else ":material/label:", key=f"run-menu-{run.id}"):
        st.text_input(
            "Name", run.name or "", key=name_key, max_chars=LONGEST_NAME, placeholder=run.id,
            help="Stands first in the list of runs, and for the run's id in a terminal.",
            on_change=_keep, args=(run.id, "name", name_key),
        )  # fmt: skip
        st.text_area("Note", run.note or "", key=note_key, height=90, on_change=_keep, args=(run.id, "note", note_key))
        st.checkbox("Star", run.star, key=star_key, on_change=_keep, args=(run.id, "star", star_key))
    problem = st.session_state.pop(PROBLEM, None)
    if problem:
        help.refusal(problem)


def _keep(run_id: str, what: str, key: str) -> None:
    try:
        label_run(workbench.runs(), run_id, **{what: st.session_state[key]})
    except SecateurError as error:
        st.session_state[PROBLEM] = str(error)
