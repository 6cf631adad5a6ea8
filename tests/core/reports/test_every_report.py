"""The contract of all that a notebook shows: drawn without a script, names as text, and what is not known is blank."""

import importlib
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin
from xml.etree import ElementTree

import pytest

from core.plans.plan import Cut, SparsityPlan
from core.reports.notebook import WAYS
from core.sensitivity.report import Estimate
from core.workload.scale import Scale
from tests.imports import MODULES
from tests.scales import ACCURACY

NASTY = "<script>&\"'"
HOMES = {
    found: name
    for name, path in MODULES.items()
    if name.startswith("core.")
    for found in re.findall(r"^class (\w+)\(Shown\)", path.read_text(), re.M)
}


def made(kind: Any, full: bool) -> Any:
    """A value of a type: every text is nasty, every number is none that a blank could be taken for."""
    if kind is Scale:
        return ACCURACY
    if kind is Cut:
        return Cut(NASTY, "weight", 0.25)
    if kind is SparsityPlan:
        return SparsityPlan((Cut(NASTY, "weight", 0.25),), NASTY)
    if kind is Estimate:
        return Estimate(0.25, 0.125, 0.375, 7)
    if get_origin(kind) in (UnionType, Union):
        return made(get_args(kind)[0], full) if full else None
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) is tuple:
        return (made(get_args(kind)[0], full),)
    if get_origin(kind) in (dict,) or "Mapping" in str(kind):
        return {}
    if is_dataclass(kind):
        given = {
            one.name: made(one.type, full) if one.repr else None
            for one in fields(kind)
            if full or one.default is MISSING or one.name in ("rows", "cells", "points")
        }
        return kind(**given)
    return {str: NASTY, int: 7, float: 0.25, bool: True, Path: Path("a"), NoneType: None, Any: NASTY}[kind]


def report(name: str, full: bool) -> Any:
    return made(getattr(importlib.import_module(HOMES[name]), name), full)


def test_every_report_that_notebooks_can_ask_has_a_way_to_be_shown():
    assert set(HOMES) == set(WAYS)


@pytest.mark.model
@pytest.mark.parametrize("full", [True, False], ids=["full", "blank"])
@pytest.mark.parametrize("name", sorted(HOMES))
def test_what_is_shown_is_well_formed_and_every_text_is_text(name, full):
    drawn = report(name, full)._repr_html_()
    read = ElementTree.fromstring(drawn)
    assert "script" not in {node.tag.rpartition("}")[2] for node in read.iter()}
    assert "<script" not in drawn
    assert full is False or name == "Recovered" or NASTY in "".join(read.itertext())
    assert not re.search(r"\b(None|nan)\b", "".join(read.itertext()))


@pytest.mark.model
@pytest.mark.parametrize("name", sorted(HOMES))
def test_what_is_not_known_is_missing_and_never_zero(name):
    value = report(name, full=False)
    (*rows,) = value.to_pandas().to_dict("records")
    cells = [cell for row in rows for cell in row.values()]
    blank = [cell for cell in cells if cell is None or cell != cell]
    numbers = [cell for cell in cells if isinstance(cell, int | float) and not isinstance(cell, bool)]
    assert rows
    assert 0 not in numbers
    assert blank or name in ("SparsityPlan", "ProfileReport", "TicketReport")  # of which all is always known
    assert "0" not in [node.text for node in ElementTree.fromstring(value._repr_html_()).iter("td")]


@pytest.mark.model
@pytest.mark.parametrize("name", sorted(HOMES))
def test_an_interval_is_four_columns_whether_it_was_measured_or_not(name):
    full, blank = (set(report(name, one).to_pandas().columns) for one in (True, False))
    assert {f"{one[:-4]}{end}" for one in full if one.endswith("_low") for end in ("", "_high", "_n")} <= full | {
        "predicted_drop_n"
    }
    assert {one for one in full if one.endswith("_n")} <= blank
