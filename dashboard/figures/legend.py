"""Where the key to a chart stands: one decision for all that have theirs above."""

from typing import Any


def above() -> dict[str, Any]:
    """A line or some, from the upper edge of the chart down, with room for them above what is drawn.

    By the chart's edge and not by the top of what is drawn, or a key that takes fewer lines in a window that became
    wider, or in one column where there were two, comes to lie over the data.
    """
    return {"orientation": "h", "x": 0, "yref": "container", "yanchor": "top", "y": 1.0}
