"""What a report says in tables and lines: plans, outcomes, rounds, how it was measured. Plain values; no torch."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from core import numbers
from core.delivery.card.facts import Table
from core.jobs.known import plan_words
from core.jobs.known.kept_plan import KeptPlan, MeasuredPlan
from core.jobs.places.joined import joined
from core.jobs.run import Run
from core.jobs.run_words import removed_words, run_label, sweep_command, when_text
from core.plans import cut_words
from core.recovery import recovery_words
from core.reports.gathered import SentMap, SentRecovery
from core.sensitivity import sweep_words
from core.sensitivity.report import CellResult
from core.workload.sources.reference import is_reference, short_name

NOT_RECORDED = "not recorded: an older build made this run"
MOST_NAMES = 12


def sent_ref(ref: str) -> str:
    """A model as a stranger reads it: without the folders of this machine."""
    return short_name(ref) if is_reference(ref) else Path(ref).name


def without_folders(text: str, refs: Iterable[str]) -> str:
    """A text without the folders that models of this machine lie in."""
    for ref in refs:
        folder = str(Path(ref).parent)
        text = text.replace(f"{folder}/", "") if len(folder) > 1 else text
    return text


def plan_table(one: KeptPlan) -> Table:
    """A plan, a line a row."""
    rows = ((cut.target, cut_words.what_goes_text(cut), cut.criterion or "–") for cut in one.plan.cuts)
    return Table(("target", "what goes", "criterion"), tuple(rows))


def outcome_table(rows: Iterable[MeasuredPlan]) -> Table:
    """Plans: dense and pruned metric, predicted beside measured drop, each with its interval."""
    columns = ("plan", "form", "removed", "dense", "pruned", "predicted drop", "measured drop", "gap", "")
    return Table(columns, tuple(_outcome(row) for row in rows))


def _outcome(row: MeasuredPlan) -> tuple[str, ...]:
    result, scale = row.result, row.result.scale
    return (
        plan_words.plan_title(row.kept),
        result.form,
        plan_words.removed_share(result.n_removed, result.n_weights),
        numbers.metric_with_interval(scale, result.dense),
        numbers.metric_with_interval(scale, result.metric) if result.metric else "–",
        plan_words.predicted_text(scale, row.predicted) if row.predicted else "not predicted",
        plan_words.measured_text(row),
        plan_words.gap_text(row),
        plan_words.inside_text(row),
    )


def rounds_table(sent: SentRecovery) -> Table:
    """Rounds of pruning and training."""
    return Table(
        recovery_words.round_columns(sent.scale),
        tuple(recovery_words.round_cells(sent.scale, row) for row in sent.history),
    )


def rounds_lines(sent: SentRecovery) -> list[str]:
    """The dense model, and the best round; without where the checkpoint lies on this machine."""
    lines = recovery_words.outcome_lines(
        sent.scale, sent.history, sent.run.result or {}, sent.run.request.get("tolerance")
    )
    return [line for line in lines if not line.startswith("Checkpoint")]


def uncuttable_table(sent: SentMap) -> Table:
    """What cannot be cut, by reason: parameters that stay, and cells that failed."""
    by_reason: dict[str, list[str]] = {}
    for item in sent.model.uncuttable if sent.model else ():
        by_reason.setdefault(item.reason, []).append(item.name)
    for cell in sent.report.cells:
        if cell.state == "failed":
            by_reason.setdefault(cell.reason or "no reason was kept", []).append(cut_words.cut_text(cell.cut))
    rows = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
        rows.append((reason, f"{len(names):,}", ", ".join(names[:MOST_NAMES]) + more))
    return Table(("why", "how many", "which"), tuple(rows))


def measured_table(run: Run) -> tuple[tuple[str, str], ...]:
    """How a run was measured, name by name: machine, versions, seed, n."""
    request, result = run.request, run.result or {}
    made: Mapping[str, object] = run.made_with or {}
    machine = f"{made['cpu']}, {made['cores']} cores, {made['system']}, on {made['device']}" if made else NOT_RECORDED
    versions = f"secateur {made['secateur']}, torch {made['torch']}, Python {made['python']}" if made else NOT_RECORDED
    n = result.get("n") or (result.get("dense") or {}).get("n")
    preview = result.get("preview") or {}
    known = (
        ("run", f"{run.id}, {run.kind}, {run.state}, asked for {when_text(run)}"),
        ("model", f"{sent_ref(run.workload)}, fingerprint {str(result.get('model') or 'not known')[:16]}"),
        ("what was removed", removed_words(request)),
        ("examples", f"{n:,} asked for" if n else ""),
        ("calibration examples", f"{preview['n']:,}, for estimates alone" if preview.get("n") else ""),
        ("seed", str(request["seed"]) if "seed" in request else ""),
        ("mode", str(request.get("mode", ""))),
        ("machine", machine),
        ("versions", versions),
        ("threads", str(made["threads"]) if made else ""),
        ("workers beside its own", "; ".join(one.text for one in joined(run))),
        ("note", run.note or ""),
    )
    return tuple((name, value) for name, value in known if value)


def commands(runs: Iterable[Run], plan: KeptPlan | None, factors: Mapping[str, float]) -> list[str]:
    """What measures the same again in a terminal, in the order of the runs; `factors` are of metrics, by run."""
    lines = []
    for run in runs:
        model = shlex.quote(sent_ref(run.workload))
        if run.kind == "sweep":
            lines.append(sweep_command(run, factors.get(run.id, 1.0)).replace(shlex.quote(run.workload), model, 1))
        elif run.kind in ("measure", "export"):
            samples = run.request.get("samples")
            lines.append(f"secateur apply {model} plan.json" + (f" --samples {samples}" if samples else ""))
        else:
            lines.append(f"secateur show {run.id} --json  # all settings of this recovery")
    if plan is not None:
        lines.append(f"secateur plan {shlex.quote(sent_ref(plan.workload))} --from {plan.id} --out plan.json")
    return list(dict.fromkeys(lines))


def map_title(sent: SentMap) -> str:
    """Model and run."""
    return f"{sent_ref(sent.run.workload)}: {run_label(sent.run)}"


def map_lines(sent: SentMap) -> list[str]:
    """What must be known to read a map."""
    report, scale = sent.report, sent.report.scale
    cells = [cell for cell in report.cells if cell.drop]
    n_full = sum(cell.stage == "full" for cell in cells)
    lines = [_n_text(cells), *sweep_words.few_lines(report.cells)]
    if n_full < len(cells):
        lines.append(
            f"{len(cells) - n_full:,} of {len(cells):,} measured cells did not see all examples of the run; their "
            "intervals hold at every moment, or as far as forecasts go."
        )
    waiting = sum(cell.state == "waiting" for cell in report.cells)
    if waiting:
        lines.append(f"{waiting:,} of {len(report.cells):,} cells are not measured yet, and blank.")
    if report.n_damaged:
        lines.append(sweep_words.damage_text(report.n_damaged))
    if scale.unit == "fraction":
        lines.append("Drops are in points of a percentage: how much worse than dense on the same examples.")
    else:
        lines.append(f"Drops are in {numbers.drop_unit(scale)}: how much worse than dense on the same examples.")
    return [line for line in lines if line]


def _n_text(cells: Iterable[CellResult]) -> str:
    counts = sorted({cell.drop.n for cell in cells if cell.drop})
    if not counts:
        return ""
    n = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}, cell by cell"
    return f"Every drop is measured, paired, with its 95 % interval; n = {n}."
