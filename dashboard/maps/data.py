"""What the browser is told of a map: plain values for its JavaScript."""

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from core import numbers
from core.jobs.known.beside import Sides
from core.plans.plan import Cut
from core.sensitivity.maps.colours import BETTER_ENDS, PALE, WORSE_ENDS, grey_step
from core.sensitivity.maps.described import NO_REASONS, NO_SECONDS, limits_of, map_of
from core.sensitivity.maps.layout import Grid
from core.sensitivity.maps.marks import MARKS, MEANINGS
from core.sensitivity.report import SensitivityReport
from dashboard.frame.theme import Palette

NO_SIDES: Mapping[Cut, Sides] = MappingProxyType({})


@dataclass(frozen=True)
class MapText:
    """What of a map does not change with the tolerance or the plan: large, so made once for a report.

    Attributes:
        catalog: tells texts apart.
        known: JSON of what is drawn.
        words: JSON of what is said of each cell, most of it all; read by the browser when somebody first points at one.
    """

    catalog: str
    known: str
    words: str


def map_text(
    grid: Grid,
    report: SensitivityReport,
    title: str = "",
    reasons: Mapping[str, str] = NO_REASONS,
    seconds: Mapping[str, float] = NO_SECONDS,
) -> MapText:
    """Rows, columns and cells.

    Args:
        grid: what to draw.
        report: that its cells are from.
        title: above it.
        reasons: why a layer cannot be cut in a way, by name.
        seconds: that layers take, by name.
    """
    found = map_of(grid, report, reasons, seconds)
    known = {
        "title": title,
        "rows": [[row.name, row.group, row.n_weights, row.seconds, row.absent] for row in found.rows],
        "groups": [[group.path, group.depth, group.parent, group.rows] for group in found.groups],
        "columns": found.columns,
        "kinds": found.kinds,
        "headings": found.headings,
        "notes": [[*place, text] for place, text in found.notes.items()],
        "cells": {  # a list for each property, not thousands of small lists to be read
            "row": [one.row for one in found.cells],
            "column": [one.column for one in found.cells],
            "drop": [one.drop for one in found.cells],
            "grey": [None if one.grey is None else grey_step(one.grey) for one in found.cells],
            "mark": [one.mark for one in found.cells],
            "pale": [int(one.is_pale) for one in found.cells],
        },
        "key": [[mark, MARKS[mark], MEANINGS[mark]] for mark in found.marks],
        "betters": any(cell.drop is not None and cell.drop < 0 for cell in found.cells),
        "scale": {"name": report.scale.name, "unit": report.scale.unit},
        "dropUnit": numbers.drop_unit(report.scale),
    }
    text = json.dumps(known, separators=(",", ":"))
    words = json.dumps([cell.lines for cell in found.cells], separators=(",", ":"))
    return MapText(hashlib.sha256((text + words).encode()).hexdigest()[:16], text, words)


def map_data(
    text: MapText,
    grid: Grid,
    tolerance: float,
    colours: Palette,
    label: str,
    chosen: Cut | None = None,
    planned: Container[Cut] = (),
    sides: Mapping[Cut, Sides] = NO_SIDES,
    can_cut: bool = True,
    can_tolerate: bool = True,
) -> dict[str, Any]:
    """Everything that the map draws.

    Args:
        text: of `map_text`, of the same grid.
        grid: what to draw.
        tolerance: in the metric's unit, above 0; colours turn warm where a drop exceeds it.
        colours: of the theme.
        label: what the map shows, for those who do not see it.
        chosen: framed.
        planned: cuts that are in the plan; they have a mark in the corner.
        sides: by cut, what is known of it raw and repaired; what a repair makes worse has a mark in the lower corner.
        can_cut: whether C puts a cell into the plan.
        can_tolerate: whether the tolerance can be dragged on the colour bar.
    """
    corners = {
        "planned": [place for place, cell in grid.cells.items() if cell.cut in planned] if planned else [],
        "worse": [place for place, one in _sided(grid, sides) if one.pair is not None and one.pair.is_worse],
        "other n": [place for place, one in _sided(grid, sides) if one.differs_in_n],
    }
    return {
        "label": label,
        "catalog": text.catalog,
        "known": text.known,
        "words": text.words,
        "tolerance": tolerance,
        "limits": limits_of(grid, tolerance),
        "chosen": [place for place, cell in grid.cells.items() if cell.cut == chosen] if chosen is not None else [],
        "corners": [[mark, MARKS[mark], MEANINGS[mark], places] for mark, places in corners.items() if places],
        "canCut": can_cut,
        "canTolerate": can_tolerate,
        "ends": {"worse": WORSE_ENDS, "better": BETTER_ENDS},
        "colours": {
            "cells": colours.shades.cells, "inks": colours.shades.inks, "pale": PALE, "mark": colours.mark,
            "chosen": colours.chosen, "muted": colours.muted,
        },
    }  # fmt: skip


def _sided(grid: Grid, sides: Mapping[Cut, Sides]) -> list[tuple[tuple[int, int], Sides]]:
    if not sides:
        return []
    return [(place, sides[cell.cut]) for place, cell in grid.cells.items() if cell.cut in sides]
