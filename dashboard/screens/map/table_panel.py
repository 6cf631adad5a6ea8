"""The maps as a table: sorted and searched by the browser's own means, and as files."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
import streamlit as st

from core.reports.tables import Row, map_rows
from core.sensitivity.report import CellResult, SensitivityReport
from dashboard.frame.sharing import take_away
from dashboard.frame.tables.table import table

FIRST = ("map", "target", "granularity", "sparsity", "drop", "drop_low", "drop_high", "drop_n", "state", "criterion")
GIVE_WAY = ("criterion", "state", "drop_n", "map", "granularity")  # last of all others, and in this order
TALLEST = 420
Sheets = Mapping[str, tuple[SensitivityReport, tuple[CellResult, ...]]]


def draw(report: SensitivityReport, sheets: Sheets) -> None:
    """A switch, and below it every cell that the maps show.

    Args:
        report: that is shown.
        sheets: reports and the cells of them that are shown, by name; the name is empty where there is one.
    """
    if not st.toggle("As a table", key="map-as-table", persist_state="session"):
        return
    rows = rows_of(sheets)
    frame = pd.DataFrame(rows)
    drops = ("drop", "drop_low", "drop_high")
    in_unit = [*drops, "interpolated", *(f"{report.scale.name}{end}" for end in ("", "_low", "_high"))]
    numeric = frame.astype(dict.fromkeys((*in_unit, "sparsity"), "Float64"))
    shown = numeric.assign(**{name: report.scale.factor * numeric[name] for name in in_unit})
    shown["sparsity"] = 100 * numeric["sparsity"]
    signed = st.column_config.NumberColumn(format="%+.2f" if report.scale.unit == "fraction" else "%+.3g")
    known = shown.dropna(axis="columns", how="all")
    order = [name for name in FIRST if name in known] + [str(name) for name in known if name not in FIRST]
    table(
        known[order],
        "The map as a table",
        secondary=(*(name for name in reversed(order) if name not in FIRST), *GIVE_WAY),
        share=0.55,
        tallest=TALLEST,
        columns=dict.fromkeys((*drops, "interpolated"), signed)
        | {"sparsity": st.column_config.NumberColumn(format="%.4g %%")},
    )
    here = "Percent and points here, fractions in the files. " if report.scale.unit == "fraction" else ""
    st.caption(
        f"{len(frame):,} cells. Click a column to sort by it; the magnifier above the table searches. {here}"
        "Empty is not measured."
    )
    take_away.table(lambda: rows, take_away.file_name(report.workload, report.run, "map"), "map-table")


def rows_of(sheets: Sheets) -> list[Row]:
    """A row a cell; of several sheets each says which it is of."""
    return [
        {"map": name, **row} if name else row
        for name, (report, cells) in sheets.items()
        for row in map_rows(replace(report, cells=cells))
    ]
