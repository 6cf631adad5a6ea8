"""Map: what every cut costs. Layers and coupled groups × sparsities, attention × heads, and the curves of some."""

import re

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import numbers
from core.errors import SecateurError
from core.jobs.run import Run
from core.jobs.run_words import run_label
from core.reports.tables import map_rows
from core.sensitivity.report import SensitivityReport, default_tolerance
from core.workload.description import Description
from dashboard.frame import help, measured, run_state, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.markup import without_markup
from dashboard.frame.sharing import report_button, run_menu, take_away
from dashboard.screens.map import (
    cell_panel,
    criteria_panel,
    heads_panel,
    maps_panel,
    network_panel,
    pairs_panel,
    repairs_panel,
    run_panel,
    sweep_form,
)
from dashboard.screens.map.sharing import compare_panel, map_address
from dashboard.start import choice, next_step


def empty(ref: str, found: Description) -> None:
    map_address.tell_run(map_address.run_named(()), None)
    map_address.tell_cell()
    choice.draw(ref, found, goes_on=False)
    if found.channel_targets:
        st.caption(f"Channels and neurons can be taken out in {len(found.channel_targets)} groups that go together.")
    st.subheader("No map yet")
    sweep_form.draw(ref, found, folded=True)


def choose_run(found: tuple[Run, ...], place: DeltaGenerator) -> Run:
    """The run named in the address, else the newest with something to show; the address follows the choice."""
    ids = [run.id for run in found]
    named = st.query_params.get("run")
    newest = next((i for i, run in enumerate(found) if run.active or has_map(run)), 0)
    index = ids.index(named) if named in ids else newest
    missing = map_address.run_named(found)
    labels = {run.id: run_label(run) for run in found}
    chosen = place.selectbox(
        "Run", ids, index, format_func=labels.__getitem__, label_visibility="collapsed",
        key=f"run-{hash(tuple(labels.values()))}",  # else the browser keeps the old labels
    )  # fmt: skip
    map_address.tell_run(missing, chosen)
    map_address.keep_run(chosen)
    return found[ids.index(chosen)]


def has_map(run: Run) -> bool:
    return bool((run.result or {}).get("dense")) and not run.request.get("dry_run")


def filter_field(place: DeltaGenerator) -> str:
    """What the person wants to see of the maps and curves; says so when it is no regular expression."""
    pattern = place.text_input(
        "Filter", key="filter", placeholder="regular expression, e.g. stage2|fc", persist_state="session"
    )
    try:
        re.compile(pattern)
    except re.error:
        place.caption(f"{pattern!r} is not a regular expression; all layers are shown.")
    return pattern


def draw_report(run: Run, report: SensitivityReport, found: Description) -> None:
    assert report.dense is not None
    factor = report.scale.factor
    start = ((run.result or {}).get("tolerance") or default_tolerance(report.scale, report.dense.value)) * factor
    there = maps_panel.kinds_there(report)
    st.session_state.setdefault(f"tolerance-{report.workload}", start)  # no default beside it: an address may say it
    for line in map_address.take(run, report, there, start / 1000):
        st.warning(line)
    left, middle, right = st.columns([2, 2, 3], vertical_alignment="bottom")
    measured.metric(left, f"dense {report.scale.name}", report.scale, report.dense)
    shown = middle.number_input(
        f"Tolerance, {numbers.drop_unit(report.scale)}",
        min_value=start / 1000, step=start / 2, format="%.3g",
        key=f"tolerance-{report.workload}", persist_state="session",
        help="The largest drop you accept. Colours turn warm above it.",
    )  # fmt: skip
    pattern = filter_field(right)
    tolerance = float(shown) / factor
    ways = repairs_panel.choose(run, report, found)
    repair = run.request.get("repair")
    if ways is not None:
        report, repair = ways.shown, None if ways.view == "raw" else ways.repair
    network_panel.draw(report, found, tolerance, repair)
    if ways is not None and ways.is_double:
        maps, (cell_place, curves_place) = st.container(), st.columns([2, 3], gap="large")
    else:
        maps, details = st.columns([3, 2], gap="large")
        cell_place = curves_place = details
    with maps:
        maps_panel.draw(report, found, tolerance, pattern, repair, ways, start / 1000 / factor)
        with st.container(horizontal=True):
            report_button.draw(run)
            name = take_away.file_name(report.workload, run.id, "map")
            take_away.table(lambda: map_rows(report), name, f"map-table-{run.id}")
        if ways is not None:
            repairs_panel.draw_summary(ways)
        if found.head_targets and not (ways is not None and ways.is_double):
            heads_panel.draw(report, found, tolerance, repair)
    cells = maps_panel.matching(report.cells, pattern)
    with cell_place:
        if ways is None or ways.view == ways.own:
            run_panel.draw_answers(run, report, {cell.cut.curve for cell in cells})
        cell = maps_panel.chosen_cell(report.cells)
        if cell is not None:
            cell_panel.draw(cell, report, found, repair, ways)
        else:
            st.caption("Click a cell of the map to see it here.")
    with curves_place:
        cell_panel.draw_curves(report, cells, tolerance, ways, maps_panel.criterion_shown(report))
    criteria_panel.draw(report, found, tolerance, pattern, repair)
    compare_panel.draw(run, report, tolerance)
    map_address.keep(run, report, there, start)


def draw_run(run_id: str, was_active: bool, found: Description) -> None:
    try:
        run = workbench.runs().get(run_id)
        report = workbench.report_of(run)
    except SecateurError as error:
        help.refusal(str(error))
        return
    if run.active != was_active:
        redraw()
    run_panel.draw_cost(run, report)
    if report is not None and report.dense is not None:
        draw_report(run, report, found)
    elif run.active:
        phase = run.phase or "starting"
        st.info(f"{phase[0].upper()}{phase[1:]} …", icon=":material/hourglass_top:")
        draw_former(run, found)
    else:
        st.caption("It ended before anything was measured.")


def draw_former(run: Run, found: Description) -> None:
    """While a run has measured nothing yet: the newest map there is, which must not seem to be that run's."""
    former = next((one for one in workbench.sweeps(found.ref) if one.id != run.id and has_map(one)), None)
    report = None if former is None else workbench.report_of(former)
    if former is None or report is None:
        return
    st.caption(
        f"Until this run has measured something, here is the map of another: {without_markup(run_label(former))}."
    )
    draw_report(former, report, found)


ref = workbench.chosen_model()
found = workbench.described(ref)
known = workbench.sweeps(ref)
if not found.targets:
    st.warning("Nothing in this model can be cut; the Model screen lists the reasons.")
elif not known:
    empty(ref, found)
else:
    row = st.container(horizontal=True, vertical_alignment="bottom", key="run-row")
    run = choose_run(known, row)
    # below the list where a window is too narrow for both
    beside = row.container(horizontal=True, vertical_alignment="bottom", width="content")
    with beside:
        run_menu.draw(run)
    # a new key with every run: the form closes when it has started one
    with beside.popover("New sweep", icon=":material/add:", key=f"new-sweep-{len(known)}"):
        sweep_form.draw(ref, found)
    run_state.draw(run)
    next_step.at_map(ref, found, run)
    if run.result is not None and not workbench.is_current(run, found):
        st.warning(
            "This map is of an earlier version of the model: its weights, code or settings have changed since. "
            "A new sweep measures what is different.",
            icon=":material/history:",
        )
    st.fragment(draw_run, run_every=workbench.ACTIVE_SECONDS if run.active else None)(run.id, run.active, found)
    pairs_panel.draw(ref, found)
