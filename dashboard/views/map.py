"""Map: what every cut costs. Layers × sparsities, attention layers × heads, and the curves of chosen layers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import wording
from core.errors import SecateurError
from core.jobs.runs import Run
from core.plans.plan import Cut
from core.sensitivity.report import (
    CellResult,
    SensitivityReport,
    default_tolerance,
    estimate_ranks,
    interpolated,
    largest_within,
)
from core.sensitivity.request import DEFAULT_SPARSITIES
from core.workload.description import Description
from dashboard import measured, pairs_panel, run_panel, slices_panel, sweep_form, workbench
from dashboard.figures.curves import curves_by_target, curves_figure
from dashboard.figures.heatmap import Grid, block_grid, head_grid, heatmap, sparsity_grid
from dashboard.plotly_live import plotly_live
from dashboard.theme import LEGEND

MANY_ROWS, SCROLL_PIXELS = 36, 860


def empty(ref: str, found: Description) -> None:
    st.subheader("No map yet")
    n_cells = len(found.weight_targets) * len(DEFAULT_SPARSITIES) + len(found.head_targets)
    heads = f" and each of {len(found.head_targets)} attention heads" if found.head_targets else ""
    st.write(
        f"A first map removes weights from each of {len(found.weight_targets)} layers at {len(DEFAULT_SPARSITIES)} "
        f"sparsities{heads}: {n_cells} cells, each on {found.sweep_examples:,} examples, from the dense weights."
    )
    sweep_form.draw(ref, found)


def choose_run(found: tuple[Run, ...]) -> Run:
    """The run named in the address, else the newest with something to show; the address follows the choice."""
    ids = [run.id for run in found]
    named = st.query_params.get("run")
    newest = next((i for i, run in enumerate(found) if run.active or has_map(run)), 0)
    index = ids.index(named) if named in ids else newest
    if named and named not in ids and all(run.id != named for run in workbench.runs().list()):
        st.caption(f"There is no run {named} here; another is shown.")  # of another model: that model was on screen
    labels = {run.id: run_panel.label(run) for run in found}
    chosen = st.selectbox(
        "Run", ids, index, format_func=labels.__getitem__, label_visibility="collapsed",
        key=f"run-{hash(tuple(labels.values()))}",  # else the browser keeps the old labels
    )  # fmt: skip
    st.query_params["run"] = chosen
    return found[ids.index(chosen)]


def has_map(run: Run) -> bool:
    return bool((run.result or {}).get("dense")) and not run.request.get("dry_run")


def matching(cells: tuple[CellResult, ...], pattern: str) -> tuple[CellResult, ...]:
    """Cells whose target matches; all of them while the pattern is not a regular expression."""
    try:
        return tuple(cell for cell in cells if re.search(pattern, cell.cut.target))
    except re.error:
        return cells


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


def clicked_cell(grid: Grid, hit: Mapping[str, Any] | None) -> CellResult | None:
    return grid.cells.get((hit["row"], hit["column"])) if hit and hit["column"] is not None else None


def chosen_cell(cells: tuple[CellResult, ...]) -> CellResult | None:
    """The cell that was clicked last, if this run has it."""
    cut: Cut | None = st.session_state.get("chosen_cut")
    return next((cell for cell in cells if cell.cut == cut), None)


def draw_maps(report: SensitivityReport, tolerance: float, pattern: str) -> None:
    cells = matching(report.cells, pattern)
    chosen = chosen_cell(cells)
    colours = workbench.colours()
    weights, heads, blocks = sparsity_grid(cells), head_grid(cells), block_grid(cells)
    hits = []
    if weights.rows:
        figure = heatmap(weights, report, tolerance, colours, chosen, "layer × sparsity")
        # a long map scrolls by itself, so that the chosen cell and the curves stay in view
        with st.container(height=SCROLL_PIXELS if len(weights.rows) > MANY_ROWS else "content", border=False):
            hits.append(
                clicked_cell(weights, plotly_live(figure, "map-weights", "Drop of every layer at every sparsity"))
            )
    if heads.rows:
        figure = heatmap(heads, report, tolerance, colours, chosen, "attention layer × head, that head removed")
        hits.append(clicked_cell(heads, plotly_live(figure, "map-heads", "Drop when one attention head is removed")))
    if blocks.rows:
        figure = heatmap(blocks, report, tolerance, colours, chosen, "blocks, each skipped in turn")
        hits.append(clicked_cell(blocks, plotly_live(figure, "map-blocks", "Drop when one block is skipped")))
    if not weights.rows and not heads.rows and not blocks.rows:
        st.info("No layer matches the filter.")
    limit = wording.limit_text(report.scale, tolerance)
    st.caption(f"Warm colours: a drop above the tolerance of {limit}  |  {LEGEND}")
    draw_estimates_caption(report)
    clicked = next((cell for cell in hits if cell is not None), None)
    if clicked is not None and clicked.cut != st.session_state.get("chosen_cut"):
        st.session_state["chosen_cut"] = clicked.cut
        # of a head, the layers of its attention, of a block its own: what surrounds the cell that was clicked
        layer, whole = clicked.cut.target, clicked.cut.granularity != "weight"
        around = f"{layer.rpartition(':')[0]}." if clicked.cut.granularity == "head" else f"{layer}."
        curves = curves_by_target(report.cells)
        st.session_state["curve_layers"] = [name for name in curves if name.startswith(around)] if whole else [layer]
        st.rerun()


def draw_estimates_caption(report: SensitivityReport) -> None:
    """How good the estimates turned out to be; while cells wait without any, why there are none."""
    ranked = wording.estimates_text(report)
    if ranked:
        st.caption(ranked)
    elif report.no_preview and any(cell.state == "waiting" for cell in report.cells):
        st.caption(f"No estimates: {report.no_preview}")


def draw_cell(cell: CellResult, report: SensitivityReport) -> None:
    cut = cell.cut
    whole = {"head": "the head removed", "block": "skipped"}.get(cut.granularity)
    what = whole or f"{wording.sparsity_text(cut.sparsity or 0.0)} removed"
    st.markdown(f"**{cut.target}**, {what}: {cell.n_removed:,} of {cell.n_weights:,} weights")
    if cell.drop is not None:
        st.markdown("  \n".join(wording.evidence_lines(report, cell, interpolated(report.cells).get(cut))))
        if cell.drop.value < 0:
            st.caption(
                "A negative drop: these examples came out better after the cut. "
                "While the interval holds 0, it may be noise."
            )
    if cell.reason:
        st.caption(f"{cell.state}: {cell.reason}")
    if cell.state == "waiting":
        ranks = estimate_ranks(report.cells, cut.granularity)
        known = wording.estimate_text(ranks[cut], len(ranks), report.n_calibration) if cut in ranks else None
        st.caption(f"{known[0].upper()}{known[1:]}." if known else "Not measured yet.")
    is_block = cut.granularity == "block"
    # a callback runs before the page is drawn again: leaving the page at once cannot interrupt it
    st.button(
        "Cut here",
        icon=":material/content_cut:",
        key="cut-here",
        disabled=is_block,
        help="A block can be swept, but not yet be cut for good."
        if is_block
        else "Puts this cut into the plan on the Tune screen.",
        on_click=cut_here,
        args=(report.workload, cut),
    )
    slices_panel.draw(report, cell)


def cut_here(ref: str, cut: Cut) -> None:
    workbench.runs().save_draft(ref, workbench.runs().draft(ref).with_cut(cut))
    st.toast(f"{cut.target} is in the plan now.", icon=":material/check:")


def draw_curves(report: SensitivityReport, cells: tuple[CellResult, ...], tolerance: float) -> None:
    curves = curves_by_target(cells)
    if not curves:
        return
    kept = [name for name in st.session_state.get("curve_layers", []) if name in curves]
    if not kept:  # the layer that suffers most says more than the first
        kept = [max(curves, key=lambda name: max(cell.drop.value for cell in curves[name] if cell.drop))]
    st.session_state["curve_layers"] = kept
    chosen = st.multiselect(
        "Curves", list(curves), key="curve_layers", help="A click on the map chooses one; add more here."
    )
    plotly_live(
        curves_figure(report, curves, chosen, workbench.colours()),
        "curves",
        "Metric against sparsity of the chosen layers",
    )
    st.caption(curves_caption(report, [cell for name in chosen for cell in curves[name]]))
    within = largest_within(report.cells, tolerance)
    limit = wording.limit_text(report.scale, tolerance)
    for name in chosen:
        if name in within:
            st.markdown(
                f"`{name}` stays within {limit} up to **{wording.sparsity_text(within[name])}**, interval and all"
            )
        else:
            st.markdown(f"`{name}` is not known to stay within {limit} at any measured sparsity")


def curves_caption(report: SensitivityReport, cells: Sequence[CellResult]) -> str:
    """What the bands or bars of the curves are, and how many examples stand behind them."""
    numbers = sorted({cell.drop.n for cell in cells if cell.drop})
    n = f"n = {numbers[0]:,}" if len(numbers) == 1 else f"n from {numbers[0]:,} to {numbers[-1]:,}, cell by cell"
    kinds = sorted({wording.interval_text(report.scale, cell) for cell in cells}, key=len)
    searched = any(cell.stage == "early" for cell in cells)
    parts = [
        f"{'Bars' if searched else 'Band'}: paired {' or, before all examples are in, '.join(kinds)}, of the drop; {n}."
    ]
    if searched:
        parts.append("Dashed, ○: interpolated. ◇: few examples, beyond what was needed.")
    return " ".join([*parts, "Grey: the other layers."])


def draw_report(run: Run, report: SensitivityReport) -> None:
    assert report.dense is not None
    factor = report.scale.factor
    start = ((run.result or {}).get("tolerance") or default_tolerance(report.scale, report.dense.value)) * factor
    left, middle, right = st.columns([2, 2, 3], vertical_alignment="bottom")
    measured.metric(left, f"dense {report.scale.name}", report.scale, report.dense)
    shown = middle.number_input(
        f"Tolerance, {wording.drop_unit(report.scale)}",
        min_value=start / 1000, value=start, step=start / 2, format="%.3g",
        key=f"tolerance-{report.workload}", persist_state="session",
        help="The largest drop you accept. Colours turn warm above it.",
    )  # fmt: skip
    pattern = filter_field(right)
    tolerance = float(shown) / factor
    maps, details = st.columns([3, 2], gap="large")
    with maps:
        draw_maps(report, tolerance, pattern)
    with details:
        run_panel.draw_answers(run, report, {cell.cut.curve for cell in matching(report.cells, pattern)})
        cell = chosen_cell(report.cells)
        if cell is not None:
            draw_cell(cell, report)
        else:
            st.caption("Click a cell of the map to see it here.")
        draw_curves(report, matching(report.cells, pattern), tolerance)


def draw_run(run_id: str, was_active: bool) -> None:
    try:
        run = workbench.runs().get(run_id)
        report = workbench.report_of(run)
    except SecateurError as error:
        st.error(str(error), icon=":material/error:")
        return
    if run.active != was_active:
        st.rerun()
    run_panel.draw_cost(run, report)
    if report is not None and report.dense is not None:
        draw_report(run, report)
    elif run.active:
        st.info(f"{(run.phase or 'starting').capitalize()} …", icon=":material/hourglass_top:")
    else:
        st.caption("It ended before anything was measured.")


ref = workbench.chosen_model()
found = workbench.described(ref)
known = workbench.sweeps(ref)
if not found.targets:
    st.warning("Nothing in this model can be cut; the Model screen lists the reasons.")
elif not known:
    empty(ref, found)
else:
    head, action = st.columns([5, 1], vertical_alignment="bottom")
    with head:
        run = choose_run(known)
    # a new key with every run: the form closes when it has started one
    with action.popover("New sweep", icon=":material/add:", width="stretch", key=f"new-sweep-{len(known)}"):
        sweep_form.draw(ref, found)
    run_panel.draw_state(run)
    if run.result is not None and not workbench.is_current(run, found):
        st.warning(
            "This map is of an earlier version of the model: its weights, code or settings have changed since. "
            "A new sweep measures what is different.",
            icon=":material/history:",
        )
    st.fragment(draw_run, run_every=workbench.ACTIVE_SECONDS if run.active else None)(run.id, run.active)
    pairs_panel.draw(ref, found)
