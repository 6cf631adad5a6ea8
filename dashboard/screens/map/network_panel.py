"""The network above the maps: where its cells lie. A row of the map and its box light each other up."""

from collections.abc import Mapping

import streamlit as st

from core import numbers
from core.graph.drawn import Box, Drawing, drawing_of
from core.graph.network import Network
from core.graph.shown import first_granularity, shown
from core.jobs import networks
from core.jobs.launch import start_graph
from core.plans import cut_words
from core.plans.plan import WHOLE
from core.sensitivity.report import CellResult, SensitivityReport, largest_within
from core.workload.description import Description
from core.workload.target import Granularity
from dashboard.frame import workbench
from dashboard.frame.fragment import redraw
from dashboard.graph.component import graph
from dashboard.graph.data import graph_data
from dashboard.screens.map import cell_panel


def draw(report: SensitivityReport, found: Description, tolerance: float, repair: str | None = None) -> None:
    """Draw it, if somebody wants to see it, and take in what was chosen there.

    Above the maps and not on the Model screen: there is what a cut costs, and both are in view at once.

    Args:
        report: whose cells colour it.
        found: the model.
        tolerance: in the metric's unit.
        repair: of the cells of the report.
    """
    if not st.toggle(
        "Network", key="network-shown", persist_state="session", help="Where in the network each row lies."
    ):
        return
    kept = _kept(found)
    if kept is None:
        _ask(found.ref)
        return
    network, drawing = kept
    plan = workbench.runs().draft(found.ref)
    known = networks.known_network(workbench.runs(), found, network, plan, tolerance, report)
    granularity = _choose_granularity(known)
    values = shown(drawing, known.facts, granularity, found.scale, tolerance, bool(plan.cuts))
    limit = numbers.limit_text(found.scale, tolerance)
    note = (
        f"Colour: {cut_words.granularity_text(granularity)} that may go of each alone within {limit}, from orange "
        "(less than 20 %, or none known) to green (80 % and more); dashed: not measured. Red bar: share of the weights "
        "that the plan removes. A stack is folded: click it."
    )
    chosen = st.session_state.get("chosen_cut")
    hit = graph(
        "network",
        graph_data(drawing, values, workbench.colours(), f"Network of {workbench.short_name(found.ref)}", chosen, note),
    )
    if hit is not None:
        _take(hit, drawing, report, tolerance, granularity, repair)


def _kept(found: Description) -> tuple[Network, Drawing] | None:
    drawn = tuple(run.id for run in workbench.runs().list("graph", found.ref) if run.state == "finished")
    return _read(str(workbench.runs().workspace.folder), found.ref, found.fingerprint, len(found.targets), drawn)


@st.cache_data(max_entries=4, show_spinner=False)
def _read(
    folder: str, ref: str, fingerprint: str, n_targets: int, drawn: tuple[str, ...]
) -> tuple[Network, Drawing] | None:
    network = networks.network_of(workbench.runs(), workbench.described(ref))
    return (network, drawing_of(network)) if network is not None else None


def _ask(ref: str) -> None:
    """Before the network was drawn: it takes torch, so a worker does it."""
    tries = workbench.runs().list("graph", ref)
    if tries and tries[0].active:
        st.info("The network is being drawn …", icon=":material/hourglass_top:")
        return
    if tries and tries[0].state == "failed":
        st.warning(f"The network could not be drawn: {tries[0].error}")
    st.button(
        "Draw the network",
        icon=":material/account_tree:",
        on_click=_start,
        args=(ref,),
        help="Exports the model once, some seconds; the drawing is kept.",
    )


def _start(ref: str) -> None:
    start_graph(workbench.runs(), ref)


def _choose_granularity(known: networks.KnownNetwork) -> Granularity:
    measured = dict.fromkeys(one.granularity for layer in known.facts for one in layer.known if one.drops)
    first = first_granularity(known.facts)
    if len(measured) < 2:
        return first
    chosen: str | None = st.segmented_control(
        "Coloured by", list(measured), default=first, format_func=cut_words.granularity_text,
        key=f"network-by-{'-'.join(measured)}", persist_state="session",
    )  # fmt: skip
    return chosen or first


def _take(
    hit: Mapping[str, str],
    drawing: Drawing,
    report: SensitivityReport,
    tolerance: float,
    granularity: Granularity,
    repair: str | None,
) -> None:
    box = next((one for one in drawing.boxes if one.id == hit["box"]), None)
    cell = _cell_of(box, report, tolerance, granularity) if box is not None else None
    if cell is None:
        return
    is_news = cell.cut != st.session_state.get("chosen_cut")
    if hit["act"] == "cut" and cell.cut not in workbench.runs().draft(report.workload).cuts:
        cell_panel.cut_here(report.workload, cell.cut, repair)
        is_news = True
    if is_news:
        st.session_state["chosen_cut"] = cell.cut
        redraw()


def _cell_of(box: Box, report: SensitivityReport, tolerance: float, granularity: Granularity) -> CellResult | None:
    """The cell of a box that is chosen: of the granularity that colours it, the last one known within the tolerance.

    Where none is, the first of the curve; of heads the first that has a cell.
    """
    inside = sorted(box.targets, key=lambda target: target[0] != granularity)
    for target in inside:
        cells = [cell for cell in report.cells if (cell.cut.granularity, cell.cut.target) == target]
        if cells and target[0] in WHOLE:
            return cells[0]
        limit = largest_within(cells, tolerance, target[0]).get(target[1])
        by_limit = [cell for cell in cells if cell.cut.sparsity == limit]
        if cells:
            return (by_limit or cells)[0]
    return None
