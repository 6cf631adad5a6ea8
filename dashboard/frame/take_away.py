"""What is shown can be taken along: tables as CSV, Parquet and JSON, and names of files that say what is in them."""

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from core.reports.tables import Row, csv_text, json_text
from dashboard.frame import workbench

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

MOST_LETTERS = 120  # of a file's name, well below what any file system takes


def file_name(model: str, *parts: str) -> str:
    """Name without an ending: `fashion-resnet_3f2a9c01_map`; letters, digits, dots and dashes alone.

    Args:
        model: reference of the model.
        parts: run or plan, then what it is; empty ones are left out.
    """
    words = (workbench.short_name(model), *parts)
    kept = (re.sub(r"[^\w.-]+", "-", word, flags=re.ASCII).strip("-._") for word in words)
    return "_".join(word for word in kept if word)[:MOST_LETTERS] or "secateur"


def parquet_bytes(rows: Sequence[Row]) -> bytes:
    """Rows as a Parquet file; what is not known is null."""
    import pyarrow  # a page that nobody downloads from does not wait for it
    from pyarrow import parquet

    held = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), held)
    return held.getvalue()


def table(
    rows: Callable[[], Sequence[Row]],
    name: str,
    key: str,
    place: "DeltaGenerator | None" = None,
    label: str = "Download table",
) -> None:
    """A small menu that saves a table as CSV, Parquet or JSON. The rows are made when somebody clicks.

    Args:
        rows: of plain values, all with the same keys; see `core.reports.tables`.
        name: of the file, see `file_name`.
        key: of the menu on the page.
        place: where it stands; here by default.
        label: of the menu.
    """
    forms: tuple[tuple[str, str, str, Callable[[], str | bytes]], ...] = (
        ("CSV", "csv", "text/csv", lambda: csv_text(rows())),
        ("Parquet", "parquet", "application/vnd.apache.parquet", lambda: parquet_bytes(rows())),
        ("JSON", "json", "application/json", lambda: json_text(rows())),
    )
    menu = (place or st).popover(label, icon=":material/download:", key=f"{key}-menu")
    for title, ending, kind, made in forms:
        menu.download_button(
            title, made, f"{name}.{ending}", kind, on_click="ignore", key=f"{key}-{ending}", width="stretch"
        )
