"""The maps as a table: sorted and searched by the browser's own means, and as files."""

import io
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.sensitivity.maps.table import rows_of
from core.sensitivity.report import CellResult, SensitivityReport
from core.workload.description import Description
from dashboard.frame import workbench

SHARES = ("sparsity",)
MEASURED = ("drop", "drop_low", "drop_high", "metric", "metric_low", "metric_high", "interpolated")


def draw(
    report: SensitivityReport,
    sheets: Mapping[str, tuple[SensitivityReport, tuple[CellResult, ...]]],
    found: Description,
) -> None:
    """A switch, and below it every cell that the maps show.

    Args:
        report: that is shown.
        sheets: cells of the maps, by name of the sheet; empty where there is one.
        found: the model.
    """
    if not st.toggle("As a table", key="map-as-table", persist_state="session"):
        return
    frame = frame_of(sheets)
    percent = st.column_config.NumberColumn(format="%.4g %%")
    points = st.column_config.NumberColumn(format="%+.3f" if report.scale.factor == 1 else "%+.2f")
    shown = frame.copy()
    for name in SHARES:
        shown[name] = 100 * shown[name]
    for name in MEASURED:
        shown[name] = report.scale.factor * shown[name]
    st.dataframe(
        shown.dropna(axis="columns", how="all"),
        hide_index=True,
        column_config=dict.fromkeys(SHARES, percent) | {name: points for name in MEASURED if "drop" in name},
    )
    st.caption(
        f"{len(frame):,} cells. Click a column to sort by it; the magnifier above the table searches. Percent "
        "and points here, fractions in the files; empty is not measured."
    )
    name = f"{workbench.short_name(found.ref)}-{report.run}-map"
    left, right = st.columns(2)
    left.download_button(
        "CSV", lambda: frame.to_csv(index=False).encode(), f"{name}.csv", "text/csv",
        key="map-csv", icon=":material/download:", on_click="ignore", width="stretch",
    )  # fmt: skip
    right.download_button(
        "Parquet", lambda: parquet(frame), f"{name}.parquet", "application/vnd.apache.parquet",
        key="map-parquet", icon=":material/download:", on_click="ignore", width="stretch",
    )  # fmt: skip


def frame_of(sheets: Mapping[str, tuple[SensitivityReport, tuple[CellResult, ...]]]) -> pd.DataFrame:
    """A row a cell; of several sheets each row says which it is of."""
    parts = []
    for name, (_, cells) in sheets.items():
        rows = rows_of(cells)
        parts.append(pd.DataFrame([{"map": name, **row} if name else row for row in rows]))
    frame = pd.concat(parts, ignore_index=True)
    numeric = [name for name in (*SHARES, *MEASURED, "n") if name in frame]
    return frame.astype({name: "Int64" if name == "n" else "Float64" for name in numeric})


def parquet(frame: pd.DataFrame) -> bytes:
    """A frame as a file."""
    file = io.BytesIO()
    frame.to_parquet(file, index=False)
    return file.getvalue()
