"""What is said of a run beside its map: what it costs, what a search answered."""

from collections.abc import Container, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core import numbers
from core.jobs.merging.shards import shard_line
from core.jobs.run import Run
from core.plans import cut_words
from core.sensitivity import sweep_words
from core.sensitivity.report import SensitivityReport
from core.sensitivity.search.ray_address import where_text
from dashboard.frame.tables.table import HEAD, table

MANY_REASONS, MANY_ANSWERS, ROW_PIXELS = 2, 10, 27


def draw_cost(run: Run, report: SensitivityReport | None = None) -> None:
    """What a dry run found out, and why a sweep takes longer than it might."""
    result = run.result or {}
    if run.request.get("dry_run") and result.get("cost"):
        st.info(f"A dry run: {sweep_words.cost_text(result['cost'])}", icon=":material/timer:")
    failed = [cell for cell in report.cells if cell.state == "failed"] if report else []
    by_reason = {cell.reason: cell for cell in reversed(failed)}  # of cells that fail alike, the first
    reasons = [
        f":material/close: {cut_words.cut_text(cell.cut)}: {cell.reason}" for cell in reversed(by_reason.values())
    ]
    if reasons:
        more = len(reasons) - MANY_REASONS
        other = [f"and {more} more reasons; a click on a ✕ tells"] if more > 1 else reasons[MANY_REASONS:]
        st.caption("  \n".join([*reasons[:MANY_REASONS], *other]))
    if (shard := shard_line(run, report.scale.factor if report else 1.0)) is not None:
        st.info(shard, icon=":material/account_tree:")
    if run.request.get("ray"):
        st.caption(f":material/lan: Measured {where_text(run.request['ray'])}: the bits of one process.")
    if run.damaged:
        st.warning(sweep_words.damage_text(run.damaged), icon=":material/broken_image:")
    lines = [*sweep_words.full_pass_lines(result.get("full_passes") or ()), *(result.get("notes") or ())]
    for line in lines[:MANY_REASONS]:
        st.caption(f":material/info: {line}")
    if len(lines) > MANY_REASONS:
        with st.expander(f"{len(lines) - MANY_REASONS} more parts are measured by full passes"):
            st.caption("  \n".join(lines[MANY_REASONS:]))


def _sureness(answer: Mapping[str, Any]) -> str:
    """Whether an answer is settled, and by what."""
    if not answer["certain"]:
        return "not settled"
    return "by forecast" if answer.get("forecast") else "yes"


def draw_answers(run: Run, report: SensitivityReport, shown: Container[str]) -> None:
    """What a search found for each layer that is shown."""
    found: Mapping[str, Mapping[str, Any]] = (run.result or {}).get("answers") or {}
    answers = {target: answer for target, answer in found.items() if target in shown}
    if not answers:
        return
    limit = numbers.limit_text(report.scale, next(iter(answers.values()))["tolerance"])
    frame = pd.DataFrame(
        {
            "layer": list(answers),
            "most": [None if a["sparsity"] is None else 100 * a["sparsity"] for a in answers.values()],
            "sure": [_sureness(a) for a in answers.values()],
            "curve": ["" if a["monotone"] else "up and down" for a in answers.values()],
        }
    ).astype({"most": "Float64"})
    st.markdown(f"**Most that each layer can lose within {limit}**")
    table(
        frame,
        "How much each target bears",
        share=0.36,
        tallest=HEAD + ROW_PIXELS * min(MANY_ANSWERS, len(frame)),
        row_height=ROW_PIXELS,
        placeholder="none",
        columns={
            "most": st.column_config.NumberColumn(
                "up to", format="%.4g %%", help="Largest sparsity of the grid, alone. None: not even the smallest."
            ),
            "sure": st.column_config.TextColumn(
                help="Whether the cells on both sides of the limit are decided; else it is the best guess so far. By "
                "forecast: as far as how sure the dense model is of each example tells what a cut does to it. "
                "What is interpolated below the limit was not: a whole map finds a dip there."
            ),
            "curve": st.column_config.TextColumn(
                help="Up and down: a higher sparsity was found within the tolerance above one that is beyond it."
            ),
        },
    )
    st.caption(sweep_words.SEARCH_NOTE)
