"""What the worker does for the map inside a plan: each row given back and a step further, and where damage starts."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from core.jobs.known.chosen_by import part_after_choosing
from core.jobs.known.findings import known_cells, saved_time_of, sweep_reports
from core.jobs.known.judging import Part
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import described, measurement_for
from core.plans.costs.left import Kind
from core.plans.costs.savings import SavedTime
from core.plans.foreign import check_plan
from core.plans.plan import Cut, SparsityPlan
from core.profiling.target_flops import flops_by_target
from core.pruning.structure import everything
from core.sensitivity import sweep_words
from core.sensitivity.inside import undo_words
from core.sensitivity.inside.around import AroundMeasurement
from core.sensitivity.inside.around_sweep import AroundSweep, Race
from core.sensitivity.inside.damage import damage_of
from core.sensitivity.inside.flattered import Scores, flattery
from core.sensitivity.inside.report import Moved, RowWorth, Together, first_rows
from core.sensitivity.inside.request import UndoRequest
from core.sensitivity.inside.rows import Neighbours, checked_cost, cost_between, neighbours
from core.sensitivity.joint_sweep import PairNews
from core.sensitivity.search.shard import mine
from core.workload.description import Description, describe
from core.workload.workload import Workload

SHOWN_SECONDS = 2.0  # between two looks at all rows while they are measured


def do_undo(run: Run, workload: Workload, runs: RunStore) -> None:
    """Every neighbour is evidence under its own key, so a run that goes on measures none of them again."""
    request = UndoRequest(**run.request)
    plan = request.chosen()
    known = runs.description(run.workload)
    found = known[0] if known else _described(run, workload, plan)
    check_plan(plan, found)
    saved = saved_time_of(runs, found, request.engine)
    cost = checked_cost(request.cost, plan, found, saved)
    part = _part(request, plan, runs, found, workload)
    swept = known_cells(sweep_reports(runs, found, repair=plan.repair))
    around = neighbours(plan, found.targets, swept, request.further)
    rows = [_row(one, plan, found, saved) for one in around]
    with measurement_for(
        run,
        workload,
        runs,
        part.samples,
        0,
        request.device,
        request.threads,
        request.memory,
        AroundMeasurement,
        skip=part.skip,
        around=plan,
    ) as measurement:
        assert isinstance(measurement, AroundMeasurement)
        measurement.prepare(plan)
        measurement.around(plan)
        result: dict[str, Any] = {
            "metric": asdict(workload.metric.scale), "model": measurement.model_hash, "plan": plan.to_document(),
            "cost": cost, "dense": None, "drop": None, "unseen": part.unseen, "n": measurement.batches.n,
            "skip": part.skip, "together": [], "damage": [], "damage_n": 0,
        }  # fmt: skip
        runs.set_cells(run.id, rows)
        if request.damage:
            runs.update(run.id, result=result, phase="comparing the outputs of every layer")
            damage, result["damage_n"] = damage_of(measurement, plan)
            result["damage"] = [asdict(place) for place in damage]
        sweep, rows = _measured(run, runs, request, measurement, around, rows, result)
        if request.shard is not None:
            return  # evidence, of which the whole map is made once it is merged
        together = _together(measurement, plan, first_rows(rows, cost), found, saved)
        gains = sweep.gains([one.without for one in around])
        result["together"] = [asdict(_less_flattered(one, moved, gains, rows, cost)) for one, moved in together]
        result["full_passes"] = list(measurement.full_passes())
        runs.set_news(run.id, {}, sweep.total, sweep.reused, sweep.total, _what(rows), result)


def _described(run: Run, workload: Workload, plan: SparsityPlan) -> Description:
    """Of a workload in memory; coupled groups only where the plan cuts some."""
    if any(cut.granularity == "channel" for cut in plan.cuts):
        return describe(run.workload, workload, everything, None, flops_by_target)
    return described(run.workload, workload)


def _part(request: UndoRequest, plan: SparsityPlan, runs: RunStore, found: Description, workload: Workload) -> Part:
    """The examples to measure on."""
    n_all = workload.n_open
    wanted = n_all if request.samples == "all" else request.samples or workload.sweep_examples
    if wanted is not None and wanted > n_all and request.samples is not None:
        return Part(0, wanted, unseen=False)  # more than there are: refused in the words of every measurement
    return part_after_choosing(runs, found, plan, n_all, wanted)


def _row(one: Neighbours, plan: SparsityPlan, found: Description, saved: SavedTime | None) -> RowWorth:
    saves = cost_between(plan, one.further, found, saved) if one.further is not None else {}
    return RowWorth(one.cut, costs=cost_between(one.without, plan, found, saved), step=one.step, saves=saves)


def _what(rows: Sequence[RowWorth]) -> str:
    return f"giving back {undo_words.n_rows_text(len(rows))}"


def _measured(
    run: Run,
    runs: RunStore,
    request: UndoRequest,
    measurement: AroundMeasurement,
    around: Sequence[Neighbours],
    rows: Sequence[RowWorth],
    result: dict[str, Any],
) -> tuple[AroundSweep, list[RowWorth]]:
    """Every row measured; what is known of the rows so far is told while that goes on."""
    plan, what = request.chosen(), _what(rows)
    told, told_at = 0, -SHOWN_SECONDS

    def with_moved(moved: Callable[[SparsityPlan, bool], Moved]) -> list[RowWorth]:
        return [
            replace(
                row,
                back=moved(one.without, True),
                further=moved(one.further, False) if one.further is not None else None,
            )
            for one, row in zip(around, rows, strict=True)
        ]

    def on_news(news: PairNews) -> None:
        nonlocal told, told_at
        phase = f"{what}, {sweep_words.seen_text(news.n, measurement.batches.n)}"
        if sweep.n_decided:
            phase += f", {sweep.n_decided:,} of {len(others):,} decided"
        shown: dict[int, RowWorth] = {}
        if request.shard is None and news.n > told and time.monotonic() - told_at > SHOWN_SECONDS:
            shown = dict(enumerate(with_moved(sweep.so_far)))
            drop = sweep.plan_so_far()
            result["drop"] = asdict(drop) if drop else None
            told, told_at = news.n, time.monotonic()
        runs.set_news(run.id, shown, news.done, news.reused, news.total, phase, result)

    others = [other for one in around for other in _others(one)]
    race = Race(request.width) if request.mode == "race" else None
    sweep = AroundSweep(measurement, plan, others, request.replay, on_news, race)
    if request.shard is not None:
        belongs = mine([one.cut.target for one in around], request.shard)
        sweep.take([other for one, is_mine in zip(around, belongs, strict=True) if is_mine for other in _others(one)])
    runs.update(run.id, result=result, phase=what, total=sweep.total)
    sweep.run()
    if request.shard is not None:
        return sweep, list(rows)
    result["dense"], result["drop"] = asdict(measurement.dense()), asdict(sweep.plan())
    found = with_moved(sweep.moved)
    runs.set_news(run.id, dict(enumerate(found)), sweep.total, sweep.reused, sweep.total, what, result)
    return sweep, found


def _others(one: Neighbours) -> list[SparsityPlan]:
    return [other for other in (one.without, one.further) if other is not None]


def _together(
    measurement: AroundMeasurement,
    plan: SparsityPlan,
    tops: Sequence[tuple[Cut, ...]],
    found: Description,
    saved: SavedTime | None,
) -> list[tuple[Together, Scores | None]]:
    """The first rows given back at once, measured on all of the examples; and what each of those gains by it."""
    if not tops:
        return []
    cuts = [replace(plan, cuts=tuple(cut for cut in plan.cuts if cut not in top)) for top in tops]
    first = AroundSweep(measurement, plan, cuts, False, lambda news: None)
    first.run()
    first.plan()
    return [
        (Together(top, first.moved(less, less=True), cost_between(less, plan, found, saved)), first.gains([less]))
        for top, less in zip(tops, cuts, strict=True)
    ]


def _less_flattered(
    one: Together, moved: Scores | None, gains: Scores | None, rows: Sequence[RowWorth], cost: Kind
) -> Together:
    """With what is to be taken off, where that is known: of rows that are all measured on all examples."""
    if moved is None or gains is None:
        return one
    cuts = [row.cut for row in rows]
    costs = [row.costs.get(cost, 0.0) for row in rows]
    return replace(one, flattered=flattery(gains, costs, moved[0], [cuts.index(cut) for cut in one.rows]))
