"""What is known of every model that one could deliver: dense, pruned, recovered, quantized, side by side. No torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from core.jobs.known.findings import is_current
from core.jobs.known.kept_rounds import kept_numbers, recovered_path
from core.jobs.known.plan_results import plan_results
from core.jobs.known.sizes import bundled_sizes, finished_runs, manifest_of, plan_of, sizes_of
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.plans.plan import Form, SparsityPlan
from core.profiling.report import SpeedRatio, Timing
from core.recovery.history import Round
from core.sensitivity.report import Estimate, State
from core.workload.description import Description

VariantKind = Literal["dense", "masked", "shrunk", "recovered", "quantized"]
MADE_DENSE = ("sweep", "measure", "quantize", "recover")  # kinds of runs whose result tells the dense metric


@dataclass(frozen=True)
class KnownVariant:
    """What runs have measured of one model; `None` is what nobody measured.

    Attributes:
        kind: which model.
        of: what a quantized one was before; of the others their own kind.
        run: id of the recovery or of the quantization; `None` of the others.
        iteration, sparsity: of a recovered one, its round, and the share of the cuttable weights that is gone.
        scheme, bits: of a quantized one, as in `core.quantization.bits.SCHEMES`.
        metric: with n and 95 % interval, on the most examples that anybody took.
        drop: paired, from the model named by `drop_from`.
        drop_from: `"dense"`, or `"recovered"` of a model that was quantized after its recovery.
        state, reason: of a measurement that gave no number, or no effect.
        n_bytes: of its weights as one file on disk: safetensors, or what the quantization wrote.
        timings, ratios: of a profile; a ratio is to the dense model in the same rounds.
    """

    kind: VariantKind
    of: VariantKind
    run: str | None = None
    iteration: int | None = None
    sparsity: float | None = None
    scheme: str | None = None
    bits: int | None = None
    metric: Estimate | None = None
    drop: Estimate | None = None
    drop_from: Literal["dense", "recovered"] = "dense"
    state: State = "measured"
    reason: str | None = None
    n_bytes: int | None = None
    timings: tuple[Timing, ...] = ()
    ratios: tuple[SpeedRatio, ...] = ()


def known_variants(runs: RunStore, found: Description, plan: SparsityPlan | None) -> tuple[KnownVariant, ...]:
    """The dense model, what a plan makes of it, what recoveries have kept, and what was quantized of all these.

    Args:
        runs: of the workspace.
        found: the dense model; what was measured of an earlier version of it does not count.
        plan: the one that is looked at; `None` or an empty one leaves out what is pruned by a plan.
    """
    chosen = plan if plan is not None and plan.cuts else None
    pruned = [
        replace(_measured(runs, found, chosen, form), **sizes_of(runs, found, chosen, form))
        for form in chosen.forms
    ] if chosen else []  # fmt: skip
    dense = KnownVariant("dense", "dense", metric=dense_metric(runs, found), **sizes_of(runs, found, chosen, "dense"))
    return (dense, *pruned, *_recovered(runs, found), *_quantized(runs, found, chosen))


def _measured(runs: RunStore, found: Description, plan: SparsityPlan, form: Form) -> KnownVariant:
    """Of several measurements the one on the most examples, of these the newest."""
    with runs.workspace.connect() as db:
        results = [result for of, _, result in plan_results(db, found.ref) if of == plan]
    fitting = [one for one in results if one.form == form and one.model == found.fingerprint]
    if not fitting:
        return KnownVariant(form, form)
    best = max(fitting, key=lambda one: (one.dense.n, one.ended))
    return KnownVariant(form, form, metric=best.metric, drop=best.drop, state=best.state, reason=best.reason)


def dense_metric(runs: RunStore, found: Description) -> Estimate | None:
    """The dense model's metric on the most examples that any run took; of equals the newest; `None` if none did."""
    told: list[Estimate] = []
    for run in runs.list(workload=found.ref):
        result = run.result or {}
        if run.kind in MADE_DENSE and is_current(run, found.fingerprint):
            told += [Estimate(**result["dense"])] if result.get("dense") and not _is_other_dense(run) else []
        elif (manifest := manifest_of(run, found)) is not None:
            told.append(Estimate(**manifest["measured"]["dense"]))
    return max(told, key=lambda estimate: estimate.n, default=None)  # the first of equals, which is the newest


def _is_other_dense(run: Run) -> bool:
    """Whether what a run calls dense is not its own model: a smaller one is recovered towards that it was cut from."""
    return run.kind == "recover" and bool((run.result or {}).get("shrunk"))


def _recovered(runs: RunStore, found: Description) -> Iterator[KnownVariant]:
    """Of every recovery the best round within its tolerance, else the last, and those that are known as models.

    Only rounds whose checkpoint is there.
    """
    rounds = (
        (run, row)
        for run in runs.list("recover", found.ref) if is_current(run, found.fingerprint)
        for row in _kept_rounds(runs, run)
    )  # fmt: skip
    for run, row in rounds:
        variant = KnownVariant(
            "recovered", "recovered", run.id, row.iteration, row.sparsity, metric=row.after, drop=row.drop,
        )  # fmt: skip
        known = runs.description(str(recovered_path(runs, run, row.iteration)))
        variant = replace(variant, **bundled_sizes(runs, str(recovered_path(runs, run, row.iteration))))
        if known is None:  # nobody has looked at it as a model of its own
            yield variant
            continue
        sizes = sizes_of(runs, known[0], None, "dense")
        yield replace(variant, **{name: value for name, value in sizes.items() if value})
        for one in _quantized(runs, known[0], None):
            yield replace(one, of="recovered", drop_from="recovered", iteration=row.iteration, sparsity=row.sparsity)


def _kept_rounds(runs: RunStore, run: Run) -> Iterator[Round]:
    """The one to look at first, then others that somebody has exported, quantized or swept."""
    result, kept = run.result or {}, kept_numbers(runs, run)
    history = [Round.from_json(dict(row)) for row in result["history"]]
    first = next((n for n in (result["best"], len(history)) if n in kept), None)
    if first is not None:
        yield history[first - 1]
    for n in kept:
        if n != first and runs.description(str(recovered_path(runs, run, n))) is not None:
            yield history[n - 1]


def _quantized(runs: RunStore, found: Description, plan: SparsityPlan | None) -> Iterator[KnownVariant]:
    """Quantizations of the plan and of the dense model; of the same one that on the most examples, then the newest."""
    best: dict[tuple[Any, ...], tuple[int, KnownVariant]] = {}
    for run in finished_runs(runs, "quantize", found):
        of_plan, result = plan_of(run), run.result or {}
        if of_plan.cuts and of_plan != plan:
            continue
        of: VariantKind = result["form"] if of_plan.cuts else "dense"
        after = result["quantized"]
        variant = KnownVariant(
            "quantized", of, run.id, scheme=result["scheme"], bits=result["bits"], metric=_estimate(after["metric"]),
            drop=_estimate(after["drop"]), state=after["state"], reason=after["reason"],
            n_bytes=result["bytes"]["packed"],
        )  # fmt: skip
        key, n = (of, result["scheme"], result["bits"]), result["dense"]["n"]
        if key not in best or n > best[key][0]:
            best[key] = n, variant
    yield from (variant for _, variant in best.values())


def _estimate(fields: Mapping[str, Any] | None) -> Estimate | None:
    return Estimate(**fields) if fields else None
