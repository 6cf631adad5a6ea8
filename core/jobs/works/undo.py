"""What the worker does for the map inside a plan: each row given back and a step further, and where damage starts."""

from dataclasses import asdict, replace
from typing import Any

from core.jobs.known.findings import known_cells, sweep_reports
from core.jobs.known.judging import Part, part_after_sweeps
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import measurement_for
from core.plans.foreign import check_plan
from core.profiling.target_flops import flops_by_target
from core.pruning.structure import everything
from core.sensitivity.inside import undo_words
from core.sensitivity.inside.around import AroundMeasurement
from core.sensitivity.inside.around_sweep import AroundSweep
from core.sensitivity.inside.damage import damage_of
from core.sensitivity.inside.report import RowWorth, Together, first_rows
from core.sensitivity.inside.request import UndoRequest
from core.sensitivity.inside.rows import cost_between, cost_of, neighbours
from core.sensitivity.joint_sweep import PairNews
from core.workload.description import describe
from core.workload.workload import Workload


def do_undo(run: Run, workload: Workload, runs: RunStore) -> None:
    """Every neighbour is evidence under its own key, so a run that goes on measures none of them again."""
    request = UndoRequest(**run.request)
    plan = request.chosen()
    described = runs.description(run.workload)
    found = described[0] if described else describe(run.workload, workload, everything, None, flops_by_target)
    check_plan(plan, found)
    reports = sweep_reports(runs, found)
    n_all = workload.n_open
    wanted = n_all if request.samples == "all" else request.samples or workload.sweep_examples
    part = part_after_sweeps(reports, n_all, wanted)
    if wanted is not None and wanted > n_all and request.samples is not None:
        part = Part(0, wanted, unseen=False)  # more than there are: refused in the words of every measurement
    around = neighbours(plan, found.targets, known_cells(reports), request.further)
    cost = cost_of(plan)
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
    ) as measurement:
        assert isinstance(measurement, AroundMeasurement)
        measurement.prepare(plan)
        measurement.around(plan)
        rows = [
            RowWorth(
                one.cut,
                costs=cost_between(one.without, plan, found),
                step=one.step,
                saves=cost_between(plan, one.further, found) if one.further is not None else {},
            )
            for one in around
        ]
        result: dict[str, Any] = {
            "metric": asdict(workload.metric.scale), "model": measurement.model_hash, "plan": plan.to_document(),
            "cost": cost, "dense": None, "drop": None, "unseen": part.unseen, "n": measurement.batches.n,
            "together": [], "damage": [], "damage_n": 0,
        }  # fmt: skip
        runs.set_cells(run.id, rows)
        what = f"giving back {undo_words.n_rows_text(len(rows))}"

        if request.damage:
            runs.update(run.id, result=result, phase="comparing the outputs of every layer")
            damage, result["damage_n"] = damage_of(measurement, plan)
            result["damage"] = [asdict(place) for place in damage]

        def on_news(news: PairNews) -> None:
            phase = f"{what}, {news.n:,} of {measurement.batches.n:,} examples"
            runs.set_news(run.id, {}, news.done, news.reused, news.total, phase, result)

        others = [other for one in around for other in (one.without, one.further) if other is not None]
        sweep = AroundSweep(measurement, plan, others, request.replay, on_news)
        runs.update(run.id, result=result, phase=what, total=sweep.total)
        sweep.run()
        result["dense"], result["drop"] = asdict(measurement.dense()), asdict(sweep.plan())
        rows = [
            replace(
                row,
                back=sweep.moved(one.without, less=True),
                further=sweep.moved(one.further, less=False) if one.further is not None else None,
            )
            for one, row in zip(around, rows, strict=True)
        ]
        runs.set_news(run.id, dict(enumerate(rows)), sweep.total, sweep.reused, sweep.total, what, result)
        tops = first_rows(rows, cost)
        if tops:
            cuts = [replace(plan, cuts=tuple(cut for cut in plan.cuts if cut not in top)) for top in tops]
            first = AroundSweep(measurement, plan, cuts, False, lambda news: None)
            first.run()
            first.plan()
            result["together"] = [
                asdict(Together(top, first.moved(less, less=True), cost_between(less, plan, found)))
                for top, less in zip(tops, cuts, strict=True)
            ]
        result["full_passes"] = list(measurement.full_passes())
        runs.set_news(run.id, {}, sweep.total, sweep.reused, sweep.total, what, result)
