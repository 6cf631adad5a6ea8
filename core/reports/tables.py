"""What is shown, as flat rows of plain values, to be written as CSV, Parquet or JSON. Not measured is `None`, never 0.

Numbers stand as they are kept: a sparsity or an accuracy is a fraction, a drop is in the metric's own unit.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence

from core.jobs.known.kept_plan import KeptPlan, MeasuredPlan
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.report import Estimate, SensitivityReport, interpolated

Plain = str | int | float | bool | None
Row = Mapping[str, Plain]


def estimate_columns(name: str, estimate: Estimate | None) -> dict[str, Plain]:
    """A measured number in four columns: value, both ends of its 95 % interval, and the examples behind it."""
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None, f"{name}_n": None}
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high, f"{name}_n": estimate.n}


def map_rows(report: SensitivityReport) -> list[Row]:
    """A map, a cell a row, in its order; `interpolated` is the drop on the line between settled neighbours."""
    between = interpolated(report.cells)
    return [
        {
            **cut_columns(cell.cut),
            "n_removed": cell.n_removed,
            "n_weights": cell.n_weights,
            "state": cell.state,
            "stage": cell.stage if cell.drop else None,
            "unit": report.scale.unit,
            **estimate_columns("drop", cell.drop),
            **estimate_columns(report.scale.name, cell.metric),
            **estimate_columns("loss_rise", cell.loss),
            "interpolated": between.get(cell.cut),
            "forecast": cell.foreseen or cell.stage == "forecast",
            "verdict": cell.verdict,
            "tolerance": cell.tolerance,
            "estimate_rank_score": cell.estimate,
            "reason": cell.reason,
        }
        for cell in report.cells
    ]


def cut_columns(cut: Cut) -> dict[str, Plain]:
    """What one cut says, in columns; the sparsity of what goes whole is `None`."""
    return {
        "target": cut.target,
        "granularity": cut.granularity,
        "criterion": cut.criterion,
        "sparsity": cut.sparsity,
        "align": cut.align,
    }


def plan_rows(plan: SparsityPlan) -> list[Row]:
    """A plan, a line a row."""
    return [{**cut_columns(cut), "repair": plan.repair} for cut in plan.cuts]


def outcome_rows(measured: Sequence[MeasuredPlan], only_kept: Sequence[KeptPlan] = ()) -> list[Row]:
    """Plans, predicted beside measured: a row for each form that was measured, then plans that nobody has measured."""
    rows: list[Row] = []
    known = [(one.kept, one.result) for one in measured]
    for kept, result in (*known, *((one, None) for one in only_kept)):
        predicted = kept.prediction.value if kept.prediction else None
        rows.append(
            {
                "plan": kept.id,
                "name": kept.name,
                "note": kept.note,
                "made_by": kept.made_by,
                "form": result.form if result else None,
                "state": result.state if result else "not measured",
                "unit": result.scale.unit if result else None,
                **estimate_columns("dense", result.dense if result else None),
                **estimate_columns("pruned", result.metric if result else None),
                **estimate_columns("drop", result.drop if result else None),
                "predicted_drop": predicted.drop if predicted else None,
                "predicted_drop_low": predicted.drop_low if predicted else None,
                "predicted_drop_high": predicted.drop_high if predicted else None,
                "n_removed": result.n_removed if result else None,
                "n_weights": result.n_weights if result else None,
                "run": result.run if result else None,
            }
        )
    return rows


def csv_text(rows: Sequence[Row]) -> str:
    """Rows as CSV with a header; an empty field is what is not known. Nothing for no rows."""
    if not rows:
        return ""
    told = io.StringIO()
    writer = csv.DictWriter(told, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return told.getvalue()


def json_text(rows: Sequence[Row]) -> str:
    """Rows as a JSON list of objects."""
    return json.dumps(rows, indent=1, allow_nan=False)
