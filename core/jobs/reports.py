"""What runs found so far, as reports, from a run and what is kept of it row by row."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.jobs.run import Run
from core.plans.plan import SparsityPlan
from core.quantization.report import QuantizationReport, QuantizedCell
from core.sensitivity.inside.report import PlaceDamage, RowWorth, Together, UndoReport
from core.sensitivity.pairs import PairResult, PairsReport, PartResult
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.scale import Scale

Found = CellResult | PartResult | PairResult | QuantizedCell | RowWorth  # what is kept of a run, row by row
Result = Mapping[str, Any]
Rows = Sequence[dict[str, Any]]


def sensitivity_report(run: Run, result: Result, rows: Rows) -> SensitivityReport:
    """The map of a sweep as far as it is measured."""
    preview = result.get("preview") or {"n": 0, "reason": None}
    return SensitivityReport(
        run.id,
        run.workload,
        Scale.from_json(result["scale"]),
        _estimate(result.get("dense")),
        tuple(map(CellResult.from_json, rows)),
        preview["n"],
        preview["reason"],
        result.get("n", 0),
        run.damaged,
    )


def pairs_report(run: Run, result: Result, rows: Rows) -> PairsReport:
    """What a run over pairs found so far."""
    return PairsReport(
        run.id,
        run.workload,
        Scale.from_json(result["metric"]),
        Scale.from_json(result["scale"]),
        _estimate(result["dense"]),
        tuple(PartResult.from_json(fields) for fields in rows if "cut" in fields),
        tuple(PairResult.from_json(fields) for fields in rows if "cut" not in fields),
        _estimate(result["mean"]),
    )


def undo_report(run: Run, result: Result, rows: Rows) -> UndoReport:
    """The map inside a plan as far as it is measured."""
    return UndoReport(
        run.id,
        run.workload,
        Scale.from_json(result["metric"]),
        SparsityPlan.from_document(result["plan"]),
        result["cost"],
        _estimate(result["dense"]),
        _estimate(result["drop"]),
        result["unseen"],
        tuple(map(RowWorth.from_json, rows)),
        tuple(map(Together.from_json, result["together"])),
        tuple(map(PlaceDamage.from_json, result["damage"])),
        result["damage_n"],
        result.get("n", 0),
    )


def quantization_report(run: Run, result: Result, rows: Rows) -> QuantizationReport:
    """What a map of pruning × quantization found so far."""
    return QuantizationReport(
        run.id,
        run.workload,
        Scale.from_json(result["metric"]),
        Scale.from_json(result["scale"]),
        _estimate(result["dense"]),
        result["tolerance"],
        tuple(map(QuantizedCell.from_json, rows)),
        tuple((s, bits, _estimate(mean)) for s, bits, mean in result["means"]),
    )


def _estimate(fields: Mapping[str, Any] | None) -> Estimate | None:
    return Estimate(**fields) if fields else None
