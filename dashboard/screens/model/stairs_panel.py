"""The steps of a target: what its widths cost in the engines in which they were measured. For several screens."""

import streamlit as st

from core.jobs.known.findings import KnownStairs, stairs_of
from core.workload import target_words
from core.workload.description import Description
from core.workload.target import Target
from dashboard.figures.costs import EngineLine, stairs_figure
from dashboard.frame import workbench
from dashboard.frame.plotly_live import plotly_live


def known(ref: str, found: Description) -> dict[str, KnownStairs]:
    """By engine the staircases of the model as it is now."""
    runs = workbench.runs()
    seen = tuple((run.id, run.state, run.done) for run in runs.list("stairs", ref))
    return _known(str(runs.workspace.folder), ref, found.fingerprint, seen, found)


@st.cache_resource(max_entries=8, show_spinner=False)
def _known(
    folder: str, ref: str, fingerprint: str, seen: tuple[tuple[object, ...], ...], _found: Description
) -> dict[str, KnownStairs]:
    return stairs_of(workbench.runs(), _found)


def draw(ref: str, found: Description, target: Target, key: str, width: int | None = None) -> None:
    """Its steps, if any were measured.

    Args:
        ref, found: the model.
        target: a coupled group, or a head, which stands for its attention.
        key: of the chart.
        width: that is left of it now.
    """
    lines, where = [], []
    for engine, one in known(ref, found).items():
        channels, heads = one.stairs.stairs()
        stair = channels.get(target.name) if target.granularity == "channel" else heads.get(target.layer or "")
        if stair is not None and one.stairs.seconds is not None:
            lines.append(EngineLine(engine, one.stairs.seconds, stair))
            where.append(one.where())
    if not lines:
        return
    unit = target_words.unit_word(target) if target.granularity == "channel" else "head"
    plotly_live(stairs_figure(lines, unit, workbench.colours(), width), key, f"Milliseconds against {unit}s left")
    st.caption(
        "The whole model with only this narrowed, timed in turn with the dense one; bars are 95 % intervals. "
        "Full marks are the ends of steps: a few more channels for the same time. "
        f"Measured with {'; '.join(where)}."
    )
