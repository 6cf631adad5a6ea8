"""What runs have found out about a model's bytes and milliseconds, here and in engines. No torch."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from core.delivery.manifest import WEIGHTS
from core.jobs.known.findings import is_current
from core.jobs.run import Kind, Run
from core.jobs.runs import RunStore
from core.plans.plan import SparsityPlan
from core.profiling.pays.report import is_sound_report
from core.profiling.report import ProfileReport, SpeedRatio, Timing
from core.workload.description import Description

DENSE, RECOVERED = "dense", "recovered"  # on the cards of bundles


def sizes_of(runs: RunStore, found: Description, plan: SparsityPlan | None, name: str) -> dict[str, Any]:
    """Bytes and times of the dense model, or of a form of a plan.

    Args:
        runs: of the workspace.
        found: the model as it is now.
        plan: the one that is looked at, if there is one.
        name: `"dense"`, `"masked"` or `"shrunk"`.

    Returns:
        `"n_bytes"` and, where a profile timed it, `"timings"` and `"ratios"`; see `KnownVariant`.
    """
    sizes = _bytes(runs, found, plan, name)
    report = _profile(runs, found, plan)
    bundled = _bundle_times(runs, found, plan, name)
    if report is None:
        return {"n_bytes": next(sizes, None), **bundled}
    profiled = (size.bytes_dense for size in report.sizes if size.variant == name)
    timings = tuple(timing for timing in report.timings if timing.variant == name)
    known = {(timing.engine, timing.batch, timing.threads) for timing in timings}
    more = [timing for timing in bundled["timings"] if (timing.engine, timing.batch, timing.threads) not in known]
    ratios = [ratio for ratio in bundled["ratios"] if (ratio.engine, ratio.batch, ratio.threads) not in known]
    return {
        "n_bytes": next(sizes, next(profiled, None)),
        "timings": (*timings, *more),
        "ratios": (*(ratio for ratio in report.ratios if ratio.variant == name), *ratios),
    }


def _bundle_times(
    runs: RunStore, found: Description, plan: SparsityPlan | None, name: str
) -> dict[str, tuple[Any, ...]]:
    """Times on the card of the newest bundle that has any: of the plan's, of the dense model of whichever."""
    for run in runs.list("export", found.ref):
        manifest = manifest_of(run, found)
        times = manifest.get("times") if manifest is not None else None
        if manifest is None or not times or not (name == DENSE or _is_of(run, manifest, plan, name)):
            continue
        row = _row_name(manifest, name)
        return {
            "timings": tuple(Timing(**one) for one in times["timings"] if one["variant"] == row),
            "ratios": tuple(SpeedRatio(**one) for one in times["ratios"] if one["variant"] == row),
        }
    return {"timings": (), "ratios": ()}


def bundled_sizes(runs: RunStore, recovered: str) -> dict[str, Any]:
    """Bytes and times of a recovered model, as the card of its newest bundle tells them; see `sizes_of`.

    Args:
        runs: of the workspace.
        recovered: the file of the round.
    """
    for run in runs.list("export", recovered):
        manifest = (run.result or {}).get("manifest") if run.state == "finished" else None
        row = next((row for row in (manifest or {}).get("variants", ()) if row["name"] == RECOVERED), None)
        if manifest is None or row is None or plan_of(run).cuts:
            continue
        times = manifest.get("times") or {"timings": (), "ratios": ()}
        return {
            "n_bytes": row.get("bytes"),
            "timings": tuple(Timing(**one) for one in times["timings"] if one["variant"] == RECOVERED),
            "ratios": tuple(SpeedRatio(**one) for one in times["ratios"] if one["variant"] == RECOVERED),
        }
    return {}


def _row_name(manifest: Mapping[str, Any], name: str) -> str:
    """What a card calls a model; on that of a recovered one, what others call dense is the recovered model."""
    names = [row["name"] for row in manifest.get("variants", ())]
    return RECOVERED if name == DENSE and RECOVERED in names else name


def _is_of(run: Run, manifest: Mapping[str, Any], plan: SparsityPlan | None, form: str) -> bool:
    return plan_of(run) == plan and manifest.get("form", "masked") == form


def _bytes(runs: RunStore, found: Description, plan: SparsityPlan | None, name: str) -> Iterator[int]:
    """Bytes as exports wrote them, then as quantizations counted them, which is the same file in memory."""
    for run in runs.list("export", found.ref):
        manifest = manifest_of(run, found)
        if manifest is None:
            continue
        if name == DENSE:
            row_name = _row_name(manifest, name)
            yield from (row["bytes"] for row in manifest.get("variants", ()) if row["name"] == row_name)
        elif _is_of(run, manifest, plan, name):
            yield int(manifest["files"][WEIGHTS]["bytes"])
    for run in finished_runs(runs, "quantize", found):
        sizes = (run.result or {})["bytes"]
        if name == DENSE:
            yield sizes["dense"]
        elif plan_of(run) == plan and run.request["form"] == name:
            yield sizes["pruned"]


def _profile(runs: RunStore, found: Description, plan: SparsityPlan | None) -> ProfileReport | None:
    """The newest profile of the plan; without a plan the newest of any, for all of them time the dense model."""
    for run in finished_runs(runs, "profile", found):
        if plan is None or (run.request["plan"] and plan_of(run) == plan):
            return runs.profile_report(run)
    return None


def finished_runs(runs: RunStore, kind: Kind, found: Description) -> Iterator[Run]:
    """Finished runs of a kind on the model as it is now, newest first."""
    for run in runs.list(kind, found.ref):
        if run.state == "finished" and is_current(run, found.fingerprint):
            yield run


def manifest_of(run: Run, found: Description) -> Mapping[str, Any] | None:
    """What a finished export of the model as it is now wrote down; `None` of any other run."""
    if run.kind != "export" or run.state != "finished" or run.result is None:
        return None
    manifest: Mapping[str, Any] = run.result["manifest"]
    return manifest if manifest["dense_model"] == found.fingerprint else None


def plan_of(run: Run) -> SparsityPlan:
    """The plan that a run was asked for."""
    return SparsityPlan.from_document(run.request["plan"])


def pays_of(runs: RunStore, model: str, plan: SparsityPlan) -> dict[str, Any] | None:
    """The newest finished comparison of a plan's models in engines, as a card tells it.

    Args:
        runs: of the workspace.
        model: fingerprint of the dense one: what another model was measured with says nothing of this one.
        plan: all of it.

    Returns:
        Plain values of a `PaysReport`, with `"run"` and `"date"`; `None` if there is none with any number.
    """
    for run in runs.list("pays"):
        result = dict(run.result or {})
        if run.state != "finished" or (result.get("model"), result.get("plan")) != (model, plan.fingerprint()):
            continue
        report = {key: value for key, value in result.items() if key not in ("model", "plan")}
        if is_sound_report(report) and any(
            row[number] is not None for row in report["rows"] for number in ("bytes", "seconds")
        ):
            return {**report, "run": run.id, "date": datetime.fromtimestamp(run.created).strftime("%Y-%m-%d")}
    return None
