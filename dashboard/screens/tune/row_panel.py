"""The row that was touched last: what a sweep measured of exactly this cut, with its interval."""

from collections.abc import Mapping, Sequence

import streamlit as st

from core import numbers
from core.plans import cut_words
from core.plans.costs.totals import units_removed
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.report import CellResult
from core.workload import target_words
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard.screens.model import stairs_panel
from dashboard.screens.tune.predicted import Knowledge
from dashboard.tuner.rows import TunerRow


def drop_alone(cells: Mapping[Cut, CellResult], between: Mapping[Cut, float], cut: Cut, scale: Scale) -> str:
    """What the sweep measured for exactly this cut; empty where it measured another sparsity.

    With n where a search did not take all examples; `≈` where the drop is a forecast, or, without
    an interval, interpolated.
    """
    cell = cells.get(cut)
    if cell is None or cell.drop is None:
        return ""
    if cell.state == "no effect":
        return cell.state
    if cut in between:
        return f"≈ {numbers.drop_text(scale, between[cut])}, interpolated"
    n = "" if cell.stage == "full" else f", n = {cell.drop.n:,}"
    forecast = ("≈ ", ", a forecast") if cell.stage == "forecast" else ("", "")
    drop = f"{numbers.drop_text(scale, cell.drop.value)} {numbers.drop_interval(scale, cell.drop)}"
    return f"{forecast[0]}{drop}{n}{forecast[1]}"


def row_text(row: TunerRow, known: Knowledge, scale: Scale) -> str:
    """A row's cut in words: how much goes, and what that alone was measured to cost."""
    if not row.sparsity:
        return "not cut"
    cut = row.cut(row.sparsity)
    text = cut_words.what_goes_text(cut, target_words.unit_word(row.target))
    if row.target.granularity == "channel":
        n, why_not = units_removed(cut, row.target)
        text += f": {why_not}" if why_not else f", {target_words.n_units_text(row.target, n)} go"
    alone = drop_alone(known.cells, known.between, cut, scale)
    unit = numbers.drop_unit(scale)
    return f"{text}. Alone: {f'{alone} ({unit})' if alone else '? (not measured at this sparsity)'}"


def draw(ref: str, found: Description, plan: SparsityPlan, known: Knowledge, rows: Sequence[TunerRow]) -> None:
    """The line below the tuner."""
    focus = st.session_state.get(f"focus-{ref}")
    row = next((row for row in rows if row.key == focus), None)
    if row is not None:
        st.markdown(f"**{row.target.name}**: {row_text(row, known, found.scale)}")
        if row.target.granularity in ("channel", "head"):
            n = row.target.n_units
            left = None if not n else n - (units_removed(row.cut(row.sparsity), row.target)[0] if row.sparsity else 0)
            stairs_panel.draw(ref, found, row.target, "row-stairs", left)
