"""Flat tables of what is shown."""

import csv
import io
import json

from core.plans.plan import Cut, SparsityPlan
from core.reports.tables import csv_text, json_text, map_rows, plan_rows
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.scale import Scale

SCALE = Scale("accuracy", "fraction", True, 0.0, 1.0)


def cell(sparsity, drop=None, **more):
    estimate = Estimate(drop, drop - 0.01, drop + 0.01, 200) if drop is not None else None
    metric = Estimate(0.9 - drop, 0.8, 0.95, 200) if drop is not None else None
    state = "measured" if drop is not None else more.pop("state", "waiting")
    return CellResult(Cut('fc, "a"', "weight", sparsity), 5, 10, state, metric, estimate, **more)


def report(*cells):
    return SensitivityReport("3f2a9c01", "model.py", SCALE, Estimate(0.9, 0.85, 0.95, 200), cells, n_examples=200)


def test_a_cell_that_was_not_measured_has_no_number_in_any_form():
    rows = map_rows(report(cell(0.5), cell(0.9, 0.0)))
    assert (rows[0]["drop"], rows[0]["state"]) == (None, "waiting")
    assert (rows[1]["drop"], rows[1]["drop_n"]) == (0.0, 200)
    back = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert (back[0]["drop"], back[1]["drop"]) == ("", "0.0")
    assert json.loads(json_text(rows))[0]["drop"] is None


def test_names_with_commas_and_quotes_come_back_as_they_were():
    rows = map_rows(report(cell(0.5, 0.1)))
    assert next(csv.DictReader(io.StringIO(csv_text(rows))))["target"] == 'fc, "a"'


def test_every_row_of_a_table_has_the_same_columns():
    rows = map_rows(report(cell(0.25, 0.1), cell(0.5), cell(0.9, state="failed", reason="no")))
    assert len({tuple(row) for row in rows}) == 1


def test_a_plan_is_a_row_for_every_line():
    plan = SparsityPlan((Cut("a", "weight", 0.5), Cut("b:1", "head")))
    assert [(row["target"], row["sparsity"]) for row in plan_rows(plan)] == [("a", 0.5), ("b:1", None)]
