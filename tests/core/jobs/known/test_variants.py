"""Models side by side: of each what somebody measured of it as it is now, and nothing where nobody did."""

from dataclasses import asdict, replace

import pytest

from core import Cut, SparsityPlan
from core.jobs.known.kept_rounds import write_recovered
from core.jobs.known.variants import known_variants
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission, profile_submission
from core.profiling.report import Machine, ProfileReport, Size, SpeedRatio, Timing
from core.recovery.history import Round
from core.recovery.round_file import path_of
from core.sensitivity.report import Estimate
from core.workload.description import describe
from core.workload.loading import load_workload
from core.workspace import Workspace

PLAN = SparsityPlan((Cut("fc1", "channel", 0.5),))
OTHER = SparsityPlan((Cut("fc1", "weight", 0.5),))


def estimate(value, n=40):
    return Estimate(value, value - 0.01, value + 0.01, n)


@pytest.fixture
def known(net_file, tmp_path):
    """Runs of a workspace that has read the small net, and its description."""
    runs = RunStore(Workspace(tmp_path / "ws"))
    found = describe(str(net_file), load_workload(str(net_file)))
    runs.remember(found)
    return runs, found


def finished(runs, kind, ref, request, result):
    run, _ = runs.submit(kind, ref, request)
    runs.update(run.id, state="finished", ended=run.created, result=result)
    return run.id


def measured(known, plan, pruned, n=40, shrunk=None, model=None):
    runs, found = known
    result = {
        "metric": asdict(found.scale), "n_removed": 14, "n_weights": 56, "state": "measured", "reason": None,
        "dense": asdict(estimate(0.9, n)), "pruned": asdict(estimate(pruned, n)),
        "drop": asdict(estimate(0.9 - pruned, n)), "model": model or found.fingerprint,
    }  # fmt: skip
    if shrunk is not None:
        result["shrunk"] = {"metric": asdict(estimate(shrunk, n)), "drop": asdict(estimate(0.9 - shrunk, n))}
    finished(runs, "measure", found.ref, plan_submission(found.ref, plan, n)[1], result)


def exported(known, plan, form, weights, dense=1000):
    runs, found = known
    manifest = {
        "version": 2, "dense_model": found.fingerprint, "files": {"model.safetensors": {"bytes": weights}},
        "variants": [{"name": "dense", "bytes": dense}, {"name": form, "bytes": weights}], "form": form,
        "measured": {
            "metric": asdict(found.scale), "n_removed": 14, "n_weights": 56, "state": "measured", "reason": None,
            "dense": asdict(estimate(0.9)), "pruned": asdict(estimate(0.8)), "drop": asdict(estimate(0.1)),
        },
    }  # fmt: skip
    finished(
        runs, "export", found.ref, plan_submission(found.ref, plan, form=form)[1], {"folder": "x", "manifest": manifest}
    )


def quantized(known, plan, metric, packed, n=40, scheme="weight", bits=8, form="masked", ref=None, model=None):
    runs, found = known
    outcome = {"state": "measured", "reason": None, "reused": False}
    result = {
        "form": form, "scheme": scheme, "bits": bits, "metric": asdict(found.scale), "path": "q",
        "bytes": {"dense": 1000, "pruned": 990, "pruned_zstd": 500, "packed": packed, "share": packed / 1000},
        "dense": asdict(estimate(0.9, n)), "own_drop": None, "weights": None, "codings": {},
        "pruned": {**outcome, "metric": asdict(estimate(0.8, n)), "drop": asdict(estimate(0.1, n))},
        "quantized": {**outcome, "metric": asdict(estimate(metric, n)), "drop": asdict(estimate(0.9 - metric, n))},
        "model": model or found.fingerprint,
    }  # fmt: skip
    request = {**plan_submission(ref or found.ref, plan, n, form=form)[1], "scheme": scheme, "bits": bits}
    return finished(runs, "quantize", ref or found.ref, request, result)


def profiled(known, plan, ref=None):
    runs, found = known
    sizes = {"dense": 1001, "masked": 1001, "shrunk": 501} if plan else {"dense": 1001}
    report = ProfileReport(
        "net", Machine("a cpu", 2, "Linux", "cpu", "2"),
        tuple(Size(name, 8, 8, None, n, 9, None, 1) for name, n in sizes.items()),
        tuple(Timing(name, "eager", 1, 2, 30, 5, 0.002, 0.001, 0.003) for name in sizes),
        tuple(SpeedRatio(name, "eager", 1, 2, 1.3, 0.95, 1.7, 30) for name in list(sizes)[1:]), (),
    )  # fmt: skip
    result = {**report.to_json(), "model": found.fingerprint}
    finished(runs, "profile", ref or found.ref, profile_submission(ref or found.ref, plan)[1], result)


def recovered(known, best=1, n_rounds=2, **result):
    runs, found = known
    rows = [
        Round(i, 0.4 * i, estimate(0.5), estimate(0.9 - 0.05 * i), estimate(0.05 * i), 4, 1.0)
        for i in range(1, n_rounds + 1)
    ]
    folder = runs.workspace.folder / "recoveries" / "abc"
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        path_of(folder, row.iteration).touch()
    told = {
        "model": found.fingerprint, "metric": asdict(found.scale), "dense": asdict(estimate(0.9)), "best": best,
        "history": [row.to_json() for row in rows], "losses": [], "schedule": [0.4, 0.8],
        "checkpoint": f"recoveries/abc/{path_of(folder, n_rounds).name}", **result,
    }  # fmt: skip
    return finished(runs, "recover", found.ref, {"start": None}, told), folder


def of(known, plan=PLAN):
    return known_variants(*known, plan)


def test_what_nobody_measured_is_none_and_never_0(known):
    assert [one.kind for one in of(known)] == ["dense", "masked", "shrunk"]
    for one in of(known):
        assert (one.metric, one.drop, one.n_bytes, one.timings, one.ratios) == (None, None, None, (), ())
    assert [one.kind for one in of(known, None)] == ["dense"]
    assert [one.kind for one in of(known, SparsityPlan())] == ["dense"]
    assert [one.kind for one in of(known, OTHER)] == ["dense", "masked"]  # of single weights nothing can be shrunk
    assert [one.kind for one in of(known, SparsityPlan((Cut("layer", "block"),)))] == ["dense", "shrunk"]


def test_the_measurement_on_most_examples_counts_and_of_equals_the_newest(known):
    measured(known, PLAN, 0.7, n=40, shrunk=0.71)
    measured(known, PLAN, 0.5, n=10)
    measured(known, PLAN, 0.6, n=40)
    measured(known, OTHER, 0.1, n=40)
    dense, masked, shrunk = of(known)
    assert (dense.metric.value, dense.metric.n, dense.drop) == (0.9, 40, None)
    assert (masked.metric.value, masked.drop.value) == (0.6, pytest.approx(0.3))
    assert shrunk.metric.value == 0.71


def test_what_was_measured_of_an_earlier_version_of_the_model_does_not_count(known):
    measured(known, PLAN, 0.7, model="of another time")
    quantized(known, PLAN, 0.7, 100, model="of another time")
    recovered(known, model="of another time")
    assert [one.kind for one in of(known)] == ["dense", "masked", "shrunk"]
    assert [one.metric for one in of(known)] == [None] * 3


def test_bytes_are_those_of_the_exported_file_before_those_of_a_profile(known):
    profiled(known, PLAN)
    assert [one.n_bytes for one in of(known)] == [1001, 1001, 501]
    exported(known, PLAN, "shrunk", 520)
    assert [one.n_bytes for one in of(known)] == [1000, 1001, 520]
    exported(known, OTHER, "masked", 77)  # of another plan
    assert [one.n_bytes for one in of(known)] == [1000, 1001, 520]


def test_times_are_those_of_a_profile_of_this_plan(known):
    profiled(known, OTHER)
    assert [one.timings for one in of(known)] == [()] * 3
    profiled(known, PLAN)
    dense, masked, shrunk = of(known)
    assert [one.timings[0].variant for one in (dense, masked, shrunk)] == ["dense", "masked", "shrunk"]
    assert [len(one.ratios) for one in (dense, masked, shrunk)] == [0, 1, 1]
    assert len(of(known, None)[0].timings) == 1  # every profile times the dense model


def test_quantized_models_of_the_plan_and_of_the_dense_model_follow_each_way_once(known):
    quantized(known, SparsityPlan(), 0.89, 300)
    quantized(known, PLAN, 0.79, 200, n=10)
    best = quantized(known, PLAN, 0.78, 210, n=40)
    quantized(known, PLAN, 0.5, 100, bits=2)
    quantized(known, PLAN, 0.77, 110, form="shrunk", scheme="dynamic")
    quantized(known, OTHER, 0.1, 10)
    found = {(one.of, one.scheme, one.bits): one for one in of(known) if one.kind == "quantized"}
    assert set(found) == {
        ("dense", "weight", 8), ("masked", "weight", 8), ("masked", "weight", 2), ("shrunk", "dynamic", 8),
    }  # fmt: skip
    one = found["masked", "weight", 8]
    assert (one.run, one.metric.value, one.n_bytes, one.drop_from, one.timings) == (best, 0.78, 210, "dense", ())
    assert of(known)[0].n_bytes == 1000  # as the quantization counted it


def test_a_recovery_shows_its_best_round_else_its_last_and_only_if_it_is_kept(known):
    run, folder = recovered(known)
    one = of(known, None)[1]
    assert (one.kind, one.run, one.iteration, one.sparsity) == ("recovered", run, 1, 0.4)
    assert (one.metric.value, one.drop.value) == (pytest.approx(0.85), 0.05)
    assert (one.n_bytes, one.timings) == (None, ())
    path_of(folder, 1).unlink()
    assert of(known, None)[1].iteration == 2
    path_of(folder, 2).unlink()
    assert [one.kind for one in of(known, None)] == ["dense"]


def test_a_recovery_without_a_round_is_no_model_and_the_last_round_stands_for_none_within(known):
    recovered(known, best=None)
    assert of(known, None)[1].iteration == 2
    runs, found = known
    empty, _ = runs.submit("recover", found.ref, {"start": "no"})
    runs.update(empty.id, result={"model": found.fingerprint, "history": [], "best": None, "dense": None})
    assert [one.kind for one in of(known, None)] == ["dense", "recovered"]


def test_the_dense_metric_of_a_smaller_models_recovery_is_another_models(known):
    recovered(known, shrunk=True, dense=asdict(estimate(0.99, 4000)))
    assert of(known, None)[0].metric is None


def test_a_recovered_model_that_was_looked_at_has_bytes_times_and_quantizations_of_its_own(known):
    runs, found = known
    run, _ = recovered(known)
    ref = str(write_recovered(runs, runs.get(run), 1))
    runs.remember(replace(found, ref=ref))
    profiled(known, None, ref=ref)
    quantized(known, SparsityPlan(), 0.84, 250, ref=ref)
    _, recovery, packed = of(known, None)
    assert (recovery.kind, recovery.n_bytes, len(recovery.timings), recovery.ratios) == ("recovered", 1000, 1, ())
    assert (packed.kind, packed.of, packed.n_bytes, packed.drop_from) == ("quantized", "recovered", 250, "recovered")
    assert packed.iteration == 1


def test_a_plan_without_effect_says_so(known):
    runs, found = known
    measured(known, PLAN, 0.9)
    (run,) = runs.list("measure")
    runs.update(run.id, result={**run.result, "state": "no effect", "reason": "no output changed"})
    masked = known_variants(runs, found, PLAN)[1]
    assert (masked.state, masked.reason) == ("no effect", "no output changed")
