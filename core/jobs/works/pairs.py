"""What the worker does for pairs: cuts one by one and two at a time."""

from dataclasses import asdict
from typing import Any

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import describe_in_passing, measurement_for
from core.plans.criteria import checked_criterion
from core.sensitivity import sweep_words
from core.sensitivity.joint_sweep import PairNews
from core.sensitivity.pair_sweep import PairSweep, pair_cuts
from core.sensitivity.pairs import PairsRequest
from core.sensitivity.statistics.interaction import additive_scale
from core.workload.workload import Workload


def do_pairs(run: Run, workload: Workload, runs: RunStore) -> None:
    """Lay out cuts and their pairs, measure them all, and compare each pair with its two cuts alone."""
    request = PairsRequest(**run.request)
    checked_criterion(request.criterion)
    with measurement_for(
        run, workload, runs, request.samples, request.seed, request.device, request.threads, request.memory
    ) as measurement:
        cuts, scale = pair_cuts(measurement.targets, request), workload.metric.scale
        result: dict[str, Any] = {
            "metric": asdict(scale),
            "scale": asdict(additive_scale(scale)),
            "dense": None,
            "mean": None,
            "n": measurement.batches.n,
            "model": measurement.model_hash,
        }
        what = sweep_words.n_pairs_text(len(cuts))

        def on_news(news: PairNews) -> None:
            phase = f"{what}, {sweep_words.seen_text(news.n, measurement.batches.n)}"
            runs.set_news(run.id, {}, news.done, news.reused, news.total, phase, result)

        pairs = PairSweep(measurement, cuts, request.replay, on_news)
        pairs.take(request.shard)
        found = pairs.found()
        runs.set_cells(run.id, (*found.parts, *found.pairs))
        runs.update(run.id, result=result, phase=what, total=pairs.total)
        describe_in_passing(run, runs, workload, measurement)
        pairs.run()
        if request.shard is not None:
            return  # evidence, of which the whole report is made once it is merged
        found = pairs.found()
        result["full_passes"] = list(measurement.full_passes())
        result["dense"] = asdict(measurement.dense())
        result["mean"] = asdict(found.mean) if found.mean else None
        runs.set_news(
            run.id, dict(enumerate((*found.parts, *found.pairs))), pairs.total, pairs.reused, pairs.total, what, result
        )
