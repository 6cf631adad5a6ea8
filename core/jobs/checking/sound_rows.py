"""Whether a row can be read, table by table: what merging takes over, and what `secateur check` names. No torch."""

import json
import math
import sqlite3
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NoReturn

from core.jobs.known.kept_plan import MAKERS
from core.jobs.known.left_out import UNREADABLE
from core.jobs.known.plan_results import parsed_plan
from core.jobs.run import check_row
from core.plans.prediction import LATER, Prediction
from core.workload.description import Description

_NUMBERS = frozenset(field.name for field in fields(Prediction)) - {"guesses"}

_RUN = "id, kind, workload, request, state, created, started, ended, result"

# by table: what its rows must be
SOUND = {
    "plans": "kept_plan(plan, document, made_by, parent, created, name, note, goal)",
    "predictions": "prediction(model, made, n_plans, prediction)",
    "drafts": "plan_text(plan)",
    "draft_steps": "plan_text(plan)",
    "rules": "rules(document)",
    "runs": f"run({_RUN})",
    "cells": "cell(cell)",
    "workloads": "workload(ref, description)",
}


def define_soundness(db: sqlite3.Connection) -> None:
    """Give a connection the functions below in SQL, by their names: 1 for a sound row, 0 for another."""
    checks: tuple[Callable[..., None], ...] = (plan_text, kept_plan, prediction, rules, run, cell, workload)
    for check in checks:
        db.create_function(check.__name__, check.__code__.co_argcount, _as_flag(check), deterministic=True)


def plan_text(document: Any) -> None:
    """A plan file, as a draft and its steps hold it; each function here raises one of many errors if it is none."""
    parsed_plan(_text(document))


def kept_plan(
    plan: Any, document: Any, made_by: Any, parent: Any, created: Any, name: Any, note: Any, goal: Any
) -> None:
    """A row of `plans`: known by the fingerprint of its own cuts, with a maker that there is."""
    if parsed_plan(_text(document))[1] != plan:
        raise ValueError("the plan is another one than its fingerprint says")
    if made_by is not None and made_by not in MAKERS:
        raise ValueError("nobody makes plans by that name")
    for text in (parent, name, note):
        if text is not None:
            _text(text)
    _number(created)
    if goal is not None and not isinstance(_values(goal), dict | str):
        raise ValueError("a goal is words or an object")


def prediction(model: Any, made: Any, n_plans: Any, document: Any) -> None:
    """A row of `predictions`."""
    _text(model)
    _number(made)
    if not isinstance(n_plans, int):
        raise TypeError("n_plans is a count")
    found = Prediction.from_json(_values(document, finite=False))  # a drop may be without bound
    for name in _NUMBERS:
        value = getattr(found, name)
        if name in LATER and value is None:  # older builds did not say it
            continue
        if math.isnan(_number(value)):
            raise ValueError(f"{name} is no number")
    for guess in found.guesses:
        _text(guess)


def rules(document: Any) -> None:
    """A row of `rules`: an object; what it means is its writer's."""
    if not isinstance(_values(document), dict):
        raise ValueError("rules are an object")


def run(
    id: Any,
    kind: Any,
    workload: Any,
    request: Any,
    state: Any,
    created: Any,
    started: Any,
    ended: Any,
    result: Any,
) -> None:
    """A row of `runs`."""
    check_row(
        dict(zip(_RUN.split(", "), (id, kind, workload, request, state, created, started, ended, result), strict=True))
    )


def cell(document: Any) -> None:
    """A row of `cells`: an object; of what, the kind of its run says."""
    if not isinstance(_values(document, finite=False), dict):
        raise ValueError("a cell is an object")


def workload(ref: Any, document: Any) -> None:
    """A row of `workloads`."""
    _text(ref)
    Description.from_json(_values(document, finite=False))


def _as_flag(check: Callable[..., None]) -> Callable[..., int]:
    def flag(*values: Any) -> int:
        try:
            check(*values)
        except UNREADABLE:
            return 0
        return 1

    return flag


def _text(value: Any) -> str:
    if not isinstance(value, str):  # a table there need not be strict, and JSON may be read from bytes too
        raise TypeError("no text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)


def _values(document: Any, finite: bool = True) -> Any:
    return json.loads(_text(document), parse_constant=_refuse if finite else None)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
