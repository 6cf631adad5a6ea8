"""What the browser is told: plain values for the tuner's JavaScript, in the order of the rows."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from core import numbers
from core.jobs.known.kept_plan import MeasuredPlan
from core.plans import cut_words
from core.plans.patterns import is_pattern
from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import Predictor, family_of, key_of
from core.sensitivity.report import Estimate
from core.workload import target_words
from core.workload.scale import Scale
from dashboard.tuner.costs import CostKind, CostLeft
from dashboard.tuner.edits import Goal
from dashboard.tuner.rows import TunerRow, key_text


@dataclass(frozen=True)
class Answered:
    """The last edit that the plan holds: of which drawing of the tuner, and its number there."""

    drawing: str = ""
    number: int = 0


def tuner_data(
    scale: Scale,
    rows: Sequence[TunerRow],
    plan: SparsityPlan,
    kinds: Sequence[CostKind],
    left: Sequence[CostLeft],
    predictor: Predictor | None = None,
    note: str = "",
    answered: Answered = Answered(),
    has: str = "",
    moving: Mapping[str, Sequence[str]] = MappingProxyType({}),
    spared: Collection[str] = (),
    worth: Mapping[str, Any] | None = None,
    dense: Estimate | None = None,
    measured: Sequence[MeasuredPlan] = (),
    memory: Mapping[str, Any] | None = None,
    asked: Goal | None = None,
) -> dict[str, Any]:
    """Everything that the tuner draws.

    Args:
        scale: of the metric.
        rows: made of `plan` by `tuner_rows`.
        plan: what the rows stand at.
        kinds: kinds of cost, as in the rows.
        left: what the plan leaves of them, counted once where cuts meet.
        predictor: as in the rows.
        note: what is to be said of the last goal.
        answered: the last edit that is in the plan.
        has: catalog that the browser has already: it is large, and changes only with a sweep.
        moving: by kind of cost, the granularities that a goal moves.
        spared: keys of rows that no goal cuts.
        worth: of `worth_values`.
        dense: the dense model's metric on the most examples, beside which everything stands; `None` if nobody measured.
        measured: what measurements and exports say of plans with the repair of this one.
        memory: of `memory_values`.
        asked: the goal that made the plan, if one did.
    """
    known = {
        "model": model_values(scale, kinds, predictor, rows)
        | {
            "basis": asdict(dense) if dense else None,
            "known": known_values(predictor, rows, plan, measured),
            "memory": memory,
        },
        "kinds": [{"kind": t.kind, "label": t.label, "unit": t.unit, "dense": t.dense} for t in kinds],
        "rows": [row_values(row) | {"spared": row.key in spared} for row in rows],
        "moving": {kind: list(granularities) for kind, granularities in moving.items()},
    }
    now = {
        "sparsities": [row.sparsity for row in rows],
        "holds": [[row.hold.locked, row.hold.least, row.hold.most] for row in rows],
    }
    whole = {one.kind: one.left for one in left}
    # of memory the browser counts what a plan holds itself, and adds nothing up
    sums = {
        kind.kind: whole.get(kind.kind, kind.dense) if kind.kind == "memory" and memory else summed(kind, rows)
        for kind in kinds
    }
    text = json.dumps(known, separators=(",", ":"))
    catalog = _hash(text)
    return {
        "known": "" if catalog == has else text,
        "catalog": catalog,
        "revision": _hash(json.dumps(now) + plan.fingerprint()),
        "plan": now,
        "left": {
            one.kind: {"left": one.left, "exact": one.exact, "sum": sums[one.kind]} for one in left if one.kind in sums
        },
        "note": note,
        "worth": worth,
        "answered": asdict(answered),
        "asked": asdict(asked) if asked else None,
    }


def model_values(
    scale: Scale, kinds: Sequence[CostKind], predictor: Predictor | None, rows: Sequence[TunerRow] = ()
) -> dict[str, Any]:
    """What belongs to no row."""
    worst = 0.0
    if predictor is not None:
        worst = max(0.0, max(scale.drop(predictor.dense, metric) for metric in predictor.link.metric))
    return {
        "scale": {"name": scale.name, "unit": scale.unit, "low": scale.low, "high": scale.high},
        "dropUnit": numbers.drop_unit(scale),
        "factor": scale.factor,
        "higherIsBetter": scale.higher_is_better,
        "dense": predictor.dense if predictor else None,
        "n": predictor.n if predictor else None,
        "link": asdict(predictor.link) if predictor else None,
        "links": {family: asdict(link) for family, link in predictor.links.items()} if predictor else {},
        "alone": asdict(predictor.alone) if predictor and predictor.alone else None,
        "worst": worst,
        "denseCosts": {kind.kind: kind.dense for kind in kinds},
    }


NO_PLAN = SparsityPlan()


def known_values(
    predictor: Predictor | None,
    rows: Sequence[TunerRow],
    plan: SparsityPlan = NO_PLAN,
    measured: Sequence[MeasuredPlan] = (),
) -> dict[str, Any]:
    """What was measured of plans that the rows can stand at: of single cuts by row, of plans with all of their cuts.

    Args:
        predictor: knows swept cells, and plans that it learned from.
        rows: of the tuner.
        plan: on screen; its cuts in patterns stand beside the rows.
        measured: plans, masked before shrunk; they take the place of what the predictor knows of the same.
    """
    by_curve = {key_of(row.cut(0.0)): row for row in rows}

    def placed(cuts: Sequence[Cut]) -> dict[str, float] | None:
        """Sparsities by key; `None` where no position of the rows is this plan."""
        found: dict[str, float] = {}
        for cut in cuts:
            if is_pattern(cut.granularity):
                if cut not in plan.cuts:
                    return None
                found[key_text(cut.granularity, cut.target)] = 1.0
            elif (row := by_curve.get(key_of(cut))) is not None:
                found[row.key] = 1.0 if cut.sparsity is None else cut.sparsity
            else:
                return None
        return found

    told: dict[tuple[Cut, ...], list[Any]] = {}
    for known in predictor.known.values() if predictor else ():
        told[known.cuts] = [
            known.metric, known.low, known.high, known.drop, known.drop_low, known.drop_high, known.n, None,
        ]  # fmt: skip
    for one in reversed(measured):  # masked before shrunk: what is written last counts
        metric, drop = one.result.metric, one.result.drop
        if metric is not None and drop is not None and one.kept.plan.repair == plan.repair:
            before = one.predicted
            said = [before.drop, before.drop_low, before.drop_high] if before else None
            told[one.kept.plan.cuts] = [
                metric.value, metric.low, metric.high, drop.value, drop.low, drop.high, drop.n, said,
            ]  # fmt: skip
    single: dict[str, list[Any]] = {}
    plans = []
    for cuts, values in told.items():
        found = placed(cuts)
        if found is None:
            continue
        ((key, sparsity),) = found.items() if len(found) == 1 else (("", 0.0),)
        if len(found) == 1 and not is_pattern(cuts[0].granularity):
            single.setdefault(key, []).append([sparsity, values])
        elif found:
            plans.append({"cuts": found, "told": values})
    return {"single": single, "plans": plans}


def row_values(row: TunerRow) -> dict[str, Any]:
    """What of a row does not change with the plan's sparsities."""
    target = row.target
    what = target_words.kind_text(target) + (f", ×{row.align} stay" if row.align > 1 else "")
    about = f"{target.name}: {cut_words.granularity_text(target.granularity)}, {what}, {target.n_weights:,} parameters"
    if row.limit is not None:
        about += f"; alone within the tolerance up to {numbers.sparsity_text(row.limit)}"
    return {
        "key": row.key,
        "name": target.name,
        "spoken": cut_words.curve_text(row.cut(0.0)),
        "kind": target.granularity,
        "family": family_of(target.granularity),
        "kindText": cut_words.granularity_text(target.granularity),
        "what": what,
        "about": about,
        "whole": row.whole,
        "levels": row.levels,
        "harm": row.harm,
        "costs": row.costs,
        "limit": row.limit,
        "patterns": [asdict(cut) for cut in row.patterns],
    }


def summed(kind: CostKind, rows: Sequence[TunerRow]) -> float:
    """What is left if the rows' savings add up; where cuts meet it is less than what really is."""
    return kind.dense - sum(row.saved(kind.kind) for row in rows)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
