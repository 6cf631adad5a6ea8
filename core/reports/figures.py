"""A report as an interactive figure, by a package that draws: an entry point, never imported by name. No torch."""

import importlib.metadata
from typing import Any

from core.errors import SecateurError

GROUP = "secateur.figures"  # a name of an entry point is the class of the report that its function draws


def show(report: Any) -> Any:
    """The Plotly figure of a report, for a notebook: to be zoomed into and pointed at.

    Args:
        report: of `core.sweep`, `core.pairs`, `core.undo`, …; one that was measured at least in part.

    Returns:
        A `plotly.graph_objects.Figure`, light, its drops in the metric's unit with their intervals.

    Raises:
        SecateurError: Plotly or the dashboard is not installed, nobody draws such a value, or nothing is measured yet.
    """
    drawers = {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}
    name = type(report).__name__
    if not drawers:
        raise SecateurError(
            "a figure needs the dashboard of Secateur, which is not installed: `python -m pip install secateur` brings "
            "it; the value alone, at the end of a cell, is drawn without it"
        )
    if name not in drawers:
        raise SecateurError(
            f"core.show draws {', '.join(sorted(drawers))}; got {name}. If it is a report, its name alone at the end "
            "of a cell shows it, and report.to_pandas() is its table"
        )
    try:
        draw = drawers[name].load()
    except ImportError as error:
        raise SecateurError(
            f"a figure needs Plotly and the dashboard of Secateur ({error}): `python -m pip install plotly`; the value "
            "alone, at the end of a cell, is drawn without them"
        ) from error
    return draw(report)
