"""Any report as tables: its rows of frozen values laid flat. Not measured is `None`, never 0. No torch.

A nested value gives a column a field, named after both; an interval gives four; what `repr` leaves out (models,
tensors, files' bytes) is left out here, too.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, fields, is_dataclass
from typing import Any, get_args

from core.plans import cut_words
from core.plans.plan import Cut, SparsityPlan
from core.profiling.stairs.report import Width
from core.reports.tables import Plain, Row, estimate_columns
from core.sensitivity.report import Estimate
from core.workload.scale import Scale

Leaf = Plain | Estimate
BARE = ("cut", "at")  # nested values whose columns stand without a name before theirs


def leaves(value: Any, prefix: str = "") -> dict[str, Leaf]:
    """A frozen value as columns; an interval is still one of them.

    Args:
        value: a dataclass of plain values, intervals, and such dataclasses.
        prefix: of the names of all columns.
    """
    found: dict[str, Leaf] = {}
    for one in fields(value):
        if one.repr:
            found |= _of(f"{prefix}{one.name}", getattr(value, one.name), one)
    verdict = getattr(type(value), "verdict", None)
    if isinstance(verdict, property):
        found[f"{prefix}verdict"] = value.verdict
    return found


def _of(name: str, value: Any, of: Field[Any]) -> dict[str, Leaf]:
    if value is None:
        return _absent(name, of.type)
    if isinstance(value, str | int | float | Estimate):
        return {name: value}
    if isinstance(value, Scale):
        return {f"{name}_unit" if name != "scale" else "unit": value.unit}
    if isinstance(value, SparsityPlan):
        return {name: value.fingerprint()}
    if is_dataclass(value):
        return leaves(value, "" if name in BARE else f"{name}_")
    if isinstance(value, Mapping) and all(isinstance(one, str | int | float | None) for one in value.values()):
        return {f"{name}_{key}": one for key, one in value.items()}
    if isinstance(value, Sequence):
        return {name: "; ".join(map(_word, value)) or None}
    if isinstance(value, Mapping):
        return {name: json.dumps(value)}
    return {name: str(value)}


def _absent(name: str, kind: Any) -> dict[str, Leaf]:
    """Columns of a nested value that is not there: those that it would have had, all without a value."""
    for one in get_args(kind):
        if one is Estimate:
            return {f"{name}{end}": None for end in ("", "_low", "_high", "_n")}
        if isinstance(one, type) and is_dataclass(one):
            inner = "" if name in BARE else f"{name}_"
            absent: dict[str, Leaf] = {}
            for field in fields(one):
                absent |= _absent(f"{inner}{field.name}", field.type)
            return absent
    return {name: None}


def _word(value: Any) -> str:
    if isinstance(value, Cut):
        return cut_words.cut_text(value)
    return json.dumps(leaves(value), default=str) if is_dataclass(value) else str(value)


def flat_rows(values: Iterable[Any], **same: Plain) -> list[Row]:
    """Rows with the same columns each, in the order in which they come first; `same` stands in all of them."""
    found: list[dict[str, Plain]] = []
    for value in values:
        row: dict[str, Plain] = dict(same)
        for name, leaf in leaves(value).items():
            row |= estimate_columns(name, leaf) if isinstance(leaf, Estimate) else {name: leaf}
        found.append(row)
    columns = dict.fromkeys(name for row in found for name in row)
    return [{name: row.get(name) for name in columns} for row in found]


def told_rows(values: Iterable[Any]) -> tuple[list[str], list[list[str]]]:
    """Columns and cells to be read: an interval is one cell; a column in which nothing stands is left out."""
    found = [leaves(value) for value in values]
    columns = dict.fromkeys(name for row in found for name in row if row[name] not in (None, ""))
    return list(columns), [[told(row.get(name)) for name in columns] for row in found]


def told(leaf: Leaf) -> str:
    """A value as it is kept, without units; what is not known is blank."""
    if leaf is None:
        return ""
    if isinstance(leaf, Estimate):
        return f"{leaf.value:.5g} [{leaf.low:.5g}, {leaf.high:.5g}], n = {leaf.n:,}"
    if isinstance(leaf, bool):
        return "yes" if leaf else "no"
    return f"{leaf:.5g}" if isinstance(leaf, float) else f"{leaf:,}" if isinstance(leaf, int) else leaf


Part = tuple[str, Callable[[Any], Sequence[Any]]]


def _field(name: str) -> Part:
    def of(report: Any) -> Sequence[Any]:
        found = getattr(report, name)
        return found() if callable(found) else found

    return name, of


def _whole(report: Any) -> Sequence[Any]:
    return (report,)


@dataclass(frozen=True)
class EngineWidth:
    """A width of a target in an engine; an engine that measured none has one without."""

    engine: str
    version: str | None
    not_run: str | None
    at: Width | None


def _widths(report: Any) -> Sequence[Any]:
    return [
        EngineWidth(one.engine, one.version, one.reason, width)
        for one in report.engines
        for width in (one.widths or (None,))
    ]


# of each report its tables, the first of which is the one for pandas; by name, for some of them know torch
PARTS: Mapping[str, tuple[Part, ...]] = {
    "UndoReport": (_field("rows"), _field("together"), _field("damage")),
    "ProfileReport": tuple(map(_field, ("timings", "sizes", "ratios", "layers", "savings", "unavailable"))),
    "PaysReport": (_field("rows"),),
    "StairsReport": (("widths", _widths),),
    "FrontierReport": (_field("points"),),
    "QuantizationReport": (_field("cells"),),
    "TicketReport": (_field("trained"), _field("rows")),
    "Certificate": (("certificate", _whole),),
    "GateReport": (_field("rows"),),
    "Quantized": (("quantized", _whole),),
    "Recovered": (("rounds", lambda report: report.history),),
}


def head(report: Any) -> dict[str, Leaf]:
    """What a report says once: its plain fields, but not what stands in its tables."""
    tables = {name for name, _ in PARTS[type(report).__name__]}
    if any(of is _whole for _, of in PARTS[type(report).__name__]):
        return {}
    found: dict[str, Leaf] = {}
    for one in fields(report):
        if one.repr and one.name not in tables and not isinstance(getattr(report, one.name), tuple):
            found |= _of(one.name, getattr(report, one.name), one)
    return {name: leaf for name, leaf in found.items() if leaf not in (None, "")}


def main_rows(report: Any) -> list[Row]:
    """The first table of a report, for a file or pandas; the unit of its drops stands in each row."""
    _, of = PARTS[type(report).__name__][0]
    scale = getattr(report, "scale", None)
    same = {"unit": scale.unit} if isinstance(scale, Scale) else {}
    return flat_rows(of(report), **same)
