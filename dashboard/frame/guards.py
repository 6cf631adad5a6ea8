"""Guards in a form, and who suffers beside a plan: groups of the examples, by the columns that the workload has."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core import numbers
from core.jobs.known import search_words
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.slices import column_names, is_sliceable
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard.frame import workbench

WHY = (
    "A bound for every group of a column: no class, say, may lose more than that. It can only be kept by measuring, as "
    "here; a goal of the tuner uses predictions, and they know no groups."
)


def guards_form(ref: str, found: Description, what: str) -> dict[str, float]:
    """A choice of columns, and for each the most that any group of it may lose; in the metric's unit, by column.

    Args:
        ref, found: the model.
        what: of which form, for the keys of its widgets.
    """
    columns = guardable(ref, found)
    if not columns:
        return {}
    usual = 3 * workbench.tolerance_of(ref, found) * found.scale.factor
    chosen = st.multiselect(
        "No group of these columns may lose too much", columns, key=f"{what}-guards-{ref}", help=WHY,
        placeholder="none is guarded", persist_state="session",
    )  # fmt: skip
    places = st.columns(max(4, len(chosen)))
    unit, guards = numbers.drop_unit(found.scale), {}
    for place, column in zip(places, chosen, strict=False):
        shown = place.number_input(
            f"{column}: at most, {unit}", min_value=0.0, value=usual, step=usual / 6, format="%.3g",
            key=f"{what}-guard-{column}-{ref}", persist_state="session",
        )  # fmt: skip
        guards[column] = shown / found.scale.factor
    return guards


def guardable(ref: str, found: Description) -> list[str]:
    """Columns of the examples by which a sweep can tell groups apart, and of whose groups the metric says anything."""
    swept = [run for run in workbench.sweeps(ref) if workbench.is_current(run, found) and is_sliceable(run.result)]
    if not swept:
        return []
    names = _names(str(workbench.runs().workspace.folder), swept[0].id, swept[0].done)
    return [name for name in names if not (found.scale.of_set and name == "class")]


@st.cache_data(max_entries=16, show_spinner=False)
def _names(folder: str, run_id: str, done: int) -> tuple[str, ...]:
    return column_names(EvidenceStore(workbench.runs().workspace), workbench.runs().get(run_id).result or {})


def who_suffers(scale: Scale, told: Mapping[str, Any] | None) -> None:
    """The worst groups of a measured plan, corrected for having looked at many; nothing where none are known."""
    for line in search_words.group_lines(scale, told):
        st.text(line)  # a group may have any name
