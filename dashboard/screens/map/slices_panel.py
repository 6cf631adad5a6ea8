"""Who suffers from a cut: the drop class by class, and the examples that come out worse."""

import pandas as pd
import streamlit as st

from core.sensitivity import sweep_words
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.report import CellResult, SensitivityReport
from core.sensitivity.slices import Broken, SliceDrop, broken_examples, column_names, is_sliceable, slice_drops
from core.workload.scale import Scale
from dashboard.figures.slices import slices_figure
from dashboard.frame import workbench
from dashboard.frame.plotly_live import plotly_live
from dashboard.frame.tables.table import table

MANY_ROWS, MANY_EXAMPLES = 12, 100

Found = tuple[dict[str, tuple[SliceDrop, ...]], Broken]


def draw(report: SensitivityReport, cell: CellResult) -> None:
    """What a measured cut does to whom. Nothing where the run does not say which examples it measured."""
    run = workbench.runs().get(report.run)
    if cell.evidence is None or cell.state not in ("measured", "failed") or not is_sliceable(run.result):
        return
    by_column, lost = _found(
        str(workbench.runs().workspace.folder),
        run.id,
        cell.evidence,
        cell.drop.n if cell.drop else None,
        (run.started, cell),
    )
    if not lost.n:
        return
    columns = [name for name, drops in by_column.items() if any(one.drop for one in drops)]
    if columns:
        st.markdown("**Who suffers**")
        # a choice of one is none
        name = st.selectbox("Look by", columns, key="slice-column") if len(columns) > 1 else columns[0]
        _draw_slices(report, name, by_column[name], cell.stage != "full")
    with st.expander(sweep_words.broken_text(lost.n_broken, lost.n_better, lost.n, lost.n_broken)):
        if lost.examples:
            table(_table(lost), "Examples that the cut breaks", share=0.36, tallest=430)
        if len(lost.examples) < lost.n_broken:
            st.caption(f"The {len(lost.examples):,} largest losses.")
        st.caption("Positions count the evaluation data from 0.")


def _draw_slices(report: SensitivityReport, column: str, drops: tuple[SliceDrop, ...], stopped: bool) -> None:
    known = [one for one in drops if one.drop]
    figure = slices_figure(report.scale, known[:MANY_ROWS], workbench.colours())
    plotly_live(figure, "slices", f"Drop by {column}, the worst first, with 95 % intervals")
    left_out = [f"The {MANY_ROWS} worst of {len(known)}."] if len(known) > MANY_ROWS else []
    left_out += [f"Too few examples to say: {len(drops) - len(known)}."] if len(drops) > len(known) else []
    st.caption(" ".join([*left_out, sweep_words.slices_note(len(known), stopped)]))


def _table(lost: Broken) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "position": one.position,
                **{name: str(value) for name, value in one.columns.items()},  # one type, or Arrow refuses the column
                "dense": one.dense_score,
                "cut": one.score,
            }
            for one in lost.examples
        ]
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _found(folder: str, run_id: str, evidence: str, n: int | None, progress: tuple[object, ...]) -> Found:
    """Read again only when the cell was measured further; `progress` is what tells."""
    store = EvidenceStore(workbench.runs().workspace)
    result = workbench.runs().get(run_id).result or {}
    drops = {name: slice_drops(store, result, evidence, name, n) for name in column_names(store, result)}
    if Scale.from_json(dict(result["scale"])).of_numbers:  # no single example can be called broken
        return drops, Broken((), 0, 0, max((sum(one.n for one in found) for found in drops.values()), default=0))
    return drops, broken_examples(store, result, evidence, MANY_EXAMPLES, n)
