"""What the browser is told of a network: plain values for its JavaScript."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.graph.drawn import Drawing, opened
from core.graph.shown import Shown
from core.plans.plan import WHOLE, Cut
from core.sensitivity.maps.colours import limit_colour
from core.workload.target import Granularity
from dashboard.frame.theme import Palette

FIRST_BOXES = 12  # that are seen before anything is unfolded, as far as folding goes


def graph_data(
    drawing: Drawing,
    values: Mapping[str, Shown],
    colours: Palette,
    label: str,
    chosen: Cut | None = None,
    note: str = "",
) -> dict[str, Any]:
    """Everything that is drawn.

    Args:
        drawing: of the network.
        values: of `shown`.
        colours: of the visitor's theme.
        label: what it shows, for those who do not see it.
        chosen: the cut whose box is framed.
        note: below it: of what the colours are.
    """
    boxes = [{**_values(values[box.id], colours), "group": box.group, "inputs": box.inputs} for box in drawing.boxes]
    groups = [
        {
            **_values(values[f"group:{group.path}"], colours),
            "path": group.path,
            "parent": group.parent,
            "boxes": group.boxes,
        }
        for group in drawing.groups
    ]
    return {
        "boxes": boxes,
        "groups": groups,
        "open": sorted(opened(drawing, FIRST_BOXES)),
        "label": label,
        "chosen": list(names_of(chosen.granularity, chosen.target)) if chosen is not None else [],
        "note": note if drawing.reason is None else f"{note} No edges: {drawing.reason}.",
        "isTree": drawing.reason is not None,
    }


def names_of(granularity: Granularity, target: str) -> tuple[str, ...]:
    """Under which names a target is a row somewhere: as curves are called, of a head also its attention, a block."""
    curve = Cut(target, granularity, None if granularity in WHOLE else 0.5).curve
    whole = (target.rpartition(":")[0] or target,) if granularity in WHOLE else ()
    return (curve, f"{granularity} {target}", *whole)


def _values(value: Shown, colours: Palette) -> dict[str, Any]:
    """Of a box or a group."""
    names: Sequence[str] = [name for target in value.targets for name in names_of(*target)]
    return {
        "id": value.id,
        "label": value.label,
        "detail": value.widths or (f"{value.n_layers} layers" if value.id.startswith("group:") else value.what),
        "isLayer": value.n_layers > 0,
        "fill": _fill(value, colours),
        "gone": value.gone or 0.0,
        "tip": value.tip,
        "names": list(dict.fromkeys(names)),
    }


def _fill(value: Shown, colours: Palette) -> str | None:
    """Colour of what may go; `None` where nothing is known of it."""
    return None if value.limit is None else limit_colour(value.limit, colours.shades)
