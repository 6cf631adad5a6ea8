"""How the newest sweep of the model stands, where one looks first: at work, or why it ended before its time."""

import streamlit as st

from core.jobs.run import Run
from core.jobs.run_words import run_label
from core.workload.description import Description
from dashboard.frame import run_state, workbench
from dashboard.start.places import MAP, page

NEXT = ":material/arrow_forward:"


def draw(found: Description) -> None:
    """Nothing of a model that was never swept; of others one line, and the one button or link that goes on."""
    run = next(iter(workbench.sweeps(found.ref)), None)
    if run is None:
        return
    if run.active:
        st.info(f"{_begun(run)} The map sharpens while one looks at it.", icon=":material/hourglass_top:")
        st.page_link(page(MAP), label="Watch its map", icon=NEXT)
    elif run.state == "finished":
        st.page_link(page(MAP), label=f"See its map: {run_label(run)}", icon=NEXT)
    else:
        run_state.draw(run, what="The newest sweep")


def _begun(run: Run) -> str:
    return "A sweep of it waits for its turn." if run.state == "queued" else "A sweep of it is at work."
