"""Tables for the terminal."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console

from core import numbers
from core.cli.tables.frame import new_table, print_table, width
from core.delivery import bundle_words
from core.delivery.card.facts import COUNTED, card_variants
from core.jobs.known import search_words
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.plans import cut_words
from core.plans.criteria import DEFAULT_CRITERION
from core.plans.patterns import is_pattern, parse_pattern
from core.quantization import quantization_words
from core.recovery import recovery_words
from core.recovery.history import Round
from core.recovery.tickets.report import TicketReport
from core.sensitivity import sweep_words
from core.sensitivity.pairs import PairsReport
from core.sensitivity.report import CellResult, Estimate, SensitivityReport, interpolated
from core.workload import target_words
from core.workload.description import Description
from core.workload.scale import Scale
from core.workload.target import Uncuttable

MANY_PAIRS = 15  # in a table; --json has them all
MANY_FAILURES = 10  # one line each says enough


def models_table(refs: Sequence[str], known: Mapping[str, Description]) -> None:
    """Names, and what is known of each."""
    table = new_table("model", "metric", "evaluation", "parameters", "targets", "heads")
    for ref in refs:
        d = known.get(ref)
        if d is None:
            table.add_row(ref, "", "", "", "", "")
            continue
        table.add_row(
            ref,
            d.scale.name,
            f"{d.n_evaluation:,}",
            f"{d.n_parameters:,}",
            str(len(d.weight_targets)),
            str(len(d.head_targets)),
        )
    print_table(table)
    unread = [ref for ref in refs if ref not in known]
    if unread:
        Console().print(f"Not read in this workspace yet: {', '.join(unread)}. `secateur targets MODEL` reads one.")


def targets_table(description: Description) -> None:
    """What can be cut in network order, and below it what cannot and why."""
    table = new_table("target", "kind", "shape", "weights", "share")
    for target in description.targets:
        label = target.name + (f"  (also {', '.join(target.shared_with)})" if target.shared_with else "")
        kind = target_words.kind_text(target)
        share = numbers.share_text(target.n_weights / description.n_parameters)
        table.add_row(label, kind, numbers.shape_text(target.shape), f"{target.n_weights:,}", share)
    print_table(table)
    if description.channel_targets:
        console = Console(soft_wrap=True, highlight=False)
        console.print("channels that go together", style="bold")
        for target in description.channel_targets:
            console.print(f"{target.name}: {target_words.members_text(target)}")
        console.print()
    if description.uncuttable:
        by_reason: dict[str, list[Uncuttable]] = {}
        for item in description.uncuttable:
            by_reason.setdefault(item.reason, []).append(item)
        console = Console(soft_wrap=True, highlight=False)
        console.print("cannot be cut", style="bold")
        for reason, items in by_reason.items():
            console.print(_what_stays(items) + f": {reason}")
            console.print(f"    {', '.join(item.name for item in items)}", style="dim")


def _what_stays(items: Sequence[Uncuttable]) -> str:
    n = sum(item.n_weights for item in items)
    return f"{n:,} numbers in {len(items)} parameters" if n else f"{len(items)} place{'s' * (len(items) != 1)}"


def runs_table(runs: Sequence[Run]) -> None:
    """One line per run."""
    if not runs:
        Console().print("No runs yet. `secateur sweep fashion-resnet` makes the first.")
        return
    table = new_table("run", "kind", "model", "state", "done", "started", "took")
    for run in runs:
        began = datetime.fromtimestamp(run.created).strftime("%Y-%m-%d %H:%M")
        took = numbers.seconds_text(run.ended - run.started) if run.ended and run.started else ""
        done = numbers.share_text(run.done / run.total) if run.total else ""
        table.add_row(run.id, kind_text(run), run.workload, run.state, done, began, took)
    print_table(table)


def kind_text(run: Run) -> str:
    """`sweep`, `sweep, tolerance`, `sweep, dry run`, `measure, shrunk`."""
    mode = run.request.get("mode", "exact")
    how = ["dry run"] if run.request.get("dry_run") else [mode] if mode != "exact" else []
    how += [run.request["scheme"]] if run.kind == "quantize" else []
    how += ["shrunk"] if run.request.get("form") == "shrunk" else []
    return ", ".join([run.kind, *how])


def run_document(store: RunStore, run: Run) -> dict[str, Any]:
    """A run and what it found, as plain values."""
    report = (
        store.report(run)
        if run.kind == "sweep"
        else (store.profile_report(run) or store.pairs_report(run) or store.quantization_report(run))
    )
    return {"run": run.to_json(), "report": report.to_json() if report else None}


def run_result(store: RunStore, run: Run) -> None:
    """Print what a run found, in the form that fits its kind."""
    console = Console(soft_wrap=True)
    console.print(f"run {run.id}  {run.kind}  {run.workload}  {run.state}", highlight=False)
    if run.error:
        console.print(run.error, style="red", highlight=False)
    report = store.report(run) if run.kind == "sweep" else None
    if report:
        if not run.request.get("dry_run"):  # a few cells on a few examples are no map
            sweep_tables(report)
        sweep_lines(run, report)
    elif (found := store.pairs_report(run)) is not None:
        pairs_table(found)
        for line in sweep_words.full_pass_lines((run.result or {}).get("full_passes") or ()):
            console.print(line, highlight=False)
    elif (mapped := store.quantization_report(run)) is not None:
        from core.cli.tables.quantization import quantization_tables

        quantization_tables(mapped)
    elif run.result and run.kind == "measure":
        measured_lines(run.result)
        for line in bundle_words.shrunk_lines({**run.result, "measured": run.result}):
            console.print(line, highlight=False)
    elif run.result and run.kind == "anchors":
        n = len(run.result["plans"])
        console.print(f"Measured {n} plans; `secateur plans {run.workload}` lists them.", highlight=False)
    elif run.result and run.kind in ("minimise", "refine"):
        described = store.description(run.workload)
        assert described is not None, "a run describes its model first"
        lines_of = search_words.minimise_lines if run.kind == "minimise" else search_words.refine_lines
        for line in lines_of(described[0].scale, run.request, run.result):
            console.print(line, highlight=False)
    elif run.result and run.kind == "recover":
        recovery_table(run)
    elif run.result and run.kind == "tickets":
        tickets_table(run)
    elif (profiled := store.profile_report(run)) is not None:
        from core.cli.tables.profiles import profile_tables  # which is made of what stands here

        profile_tables(profiled)
    elif run.result and run.kind == "quantize":
        for line in quantization_words.quantized_lines({**run.result, "path": str(store.quantized_file(run))}):
            console.print(line, highlight=False)
    elif run.result and run.kind == "verify":
        console.print(bundle_words.verified_text(run.result), highlight=False)
    elif run.result and run.kind == "export":
        folder = store.bundle_folder(run)
        console.print(f"Wrote {folder} and {folder}.zip", highlight=False)
        manifest = run.result["manifest"]
        if not manifest.get("recovery"):  # there "dense" is the model before this plan, which the table tells better
            measured_lines(manifest["measured"])
        if manifest.get("variants"):
            variants_table(manifest)
        for line in (
            *bundle_words.shrunk_lines(manifest),
            *bundle_words.format_lines(manifest),
            *bundle_words.refused_lines(manifest),
        ):  # fmt: skip
            console.print(line, highlight=False)


def variants_table(manifest: Mapping[str, Any]) -> None:
    """The models of a bundle side by side, as on its card, but for what is counted there."""
    found = card_variants(manifest, Scale.from_json(dict(manifest["measured"]["metric"])))
    shown = [i for i, column in enumerate(found.columns) if column not in COUNTED]
    table = new_table(*(found.columns[i] for i in shown))
    for row in found.rows:
        table.add_row(*(row[i] for i in shown))
    print_table(table)


def measured_lines(measured: Mapping[str, Any]) -> None:
    """Dense, pruned and drop of a plan."""
    scale = Scale.from_json(dict(measured["metric"]))
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"removes  {measured['n_removed']:,} of {measured['n_weights']:,} cuttable weights "
                  f"({numbers.share_text(measured['n_removed'] / max(1, measured['n_weights']))})")  # fmt: skip
    console.print(f"dense    {numbers.metric_with_interval(scale, Estimate(**measured['dense']))}")
    if measured["pruned"]:
        console.print(f"pruned   {numbers.metric_with_interval(scale, Estimate(**measured['pruned']))}")
        console.print(
            f"drop     {numbers.drop_with_interval(scale, Estimate(**measured['drop']))}  (paired, 95 % interval)"
        )
    if measured["reason"]:
        console.print(f"{measured['state']}: {measured['reason']}")


def recovery_table(run: Run) -> None:
    """Every round, before and after training, and the best within the tolerance."""
    assert run.result is not None
    console, scale = Console(soft_wrap=True, highlight=False), Scale.from_json(dict(run.result["metric"]))
    history = [Round.from_json(dict(row)) for row in run.result["history"]]
    if history:
        table = new_table(*recovery_words.COLUMNS, right=recovery_words.COLUMNS)
        for row in history:
            table.add_row(*recovery_words.round_cells(scale, row))
        print_table(table)
    for line in recovery_words.outcome_lines(scale, history, run.result, run.request["tolerance"]):
        console.print(line)


def tickets_table(run: Run) -> None:
    """Every sparsity with the ticket's paired differences over seeds, and the verdict."""
    assert run.result is not None
    report = TicketReport.from_json({name: run.result[name] for name in ("scale", "trained", "tolerance")})
    console, factor = Console(soft_wrap=True, highlight=False), report.scale.factor
    columns = ("gone", "ticket", "over dense", "over re-initialised", "over random mask")
    table = new_table(*columns, right=columns)
    for row in report.rows():
        found = (row.over_dense, row.over_reinitialised, row.over_random_mask)
        cells = [f"{factor * e.value:+.2f} [{factor * e.low:+.2f}, {factor * e.high:+.2f}]" for e in found]
        table.add_row(numbers.share_text(row.sparsity), numbers.metric_text(report.scale, row.ticket), *cells)
    print_table(table)
    n = report.trained[0].n if report.trained else 0
    seeds = len({unit.seed for unit in report.trained})
    console.print(
        f"{report.scale.name} on {n:,} examples, mean of {seeds} seeds; over: how much better the ticket is, in "
        f"{numbers.drop_unit(report.scale)}, paired by seed, with 95 % intervals over seeds"
    )
    console.print(report.verdict())


def pairs_table(report: PairsReport) -> None:
    """The strongest interactions, and what all pairs say together."""
    console, scale = Console(soft_wrap=True, highlight=False), report.scale
    if report.dense:
        console.print(f"dense {report.metric.name}: {numbers.metric_with_interval(report.metric, report.dense)}")
    shown = report.strongest(MANY_PAIRS)
    if shown:
        columns = ("together", "added up", "interaction")
        table = new_table("cut", "and", *columns, "95 % interval", right=columns)
        for pair in shown:
            assert pair.joint is not None
            assert pair.interaction is not None
            assert pair.sum_alone is not None
            values = (pair.joint.value, pair.sum_alone, pair.interaction.value)
            table.add_row(
                cut_words.cut_text(pair.a),
                cut_words.cut_text(pair.b),
                *(numbers.drop_text(scale, value) for value in values),
                numbers.drop_interval(scale, pair.interaction) + ("" if pair.is_sure else "·"),
            )
        print_table(table)
        n_known = sum(pair.interaction is not None for pair in report.pairs)
        console.print(
            f"The {len(shown)} strongest of {n_known:,} interactions, in {numbers.drop_unit(scale)}, n = "
            f"{shown[0].interaction.n if shown[0].interaction else 0:,}. · the 95 % interval holds 0."
        )
        console.print(sweep_words.INTERACTIONS_NOTE)
    for line in sweep_words.pairs_lines(report):
        console.print(line)


def sweep_tables(report: SensitivityReport) -> None:
    """Drops of layers × sparsities and of layers × heads."""
    console = Console(soft_wrap=True, highlight=False)
    if report.dense:
        console.print(f"dense {report.scale.name}: {numbers.metric_with_interval(report.scale, report.dense)}")
    heads = [cell for cell in report.cells if cell.cut.granularity == "head"]
    for granularity, corner in (("weight", "layer"), ("channel", "channels of")):
        of_kind = [cell for cell in report.cells if cell.cut.granularity == granularity]
        for by, cells in _by_criterion(of_kind):
            sparsities = sorted({cell.cut.sparsity or 0.0 for cell in cells})
            columns = {sparsity: numbers.sparsity_text(sparsity) for sparsity in sparsities}
            _print_grid(report, cells, f"{corner}{by}", columns, lambda c: (c.cut.target, c.cut.sparsity or 0.0))
    if heads:
        heads_there = {int(cell.cut.target.rpartition(":")[2]) for cell in heads}
        _print_grid(
            report, heads, "attention", {h: f"head {h}" for h in sorted(heads_there)},
            lambda c: (c.cut.target.rpartition(":")[0], int(c.cut.target.rpartition(":")[2])),
        )  # fmt: skip
    groups = [cell for cell in report.cells if cell.cut.granularity == "kv_group"]
    if groups:
        _print_grid(report, groups, "key/value group", {"": "removed"}, lambda c: (c.cut.target, ""))
    blocks = [cell for cell in report.cells if cell.cut.granularity == "block"]
    if blocks:
        _print_grid(report, blocks, "block", {"": "skipped"}, lambda c: (c.cut.target, ""))
    _pattern_tables(report)
    console.print(
        f"Drop in {numbers.drop_unit(report.scale)}, positive = worse than dense on the same examples. "
        "· the 95 % interval holds 0.  no eff.: no output changed.  ~ interpolated, or on few examples."
    )
    ranked = sweep_words.estimates_text(report)
    if ranked:
        console.print(ranked)


def _by_criterion(cells: Sequence[CellResult]) -> list[tuple[str, list[CellResult]]]:
    """Cells criterion by criterion, each with words to tell it by; no words where there is only the usual one."""
    found: dict[str, list[CellResult]] = {}
    for cell in cells:
        found.setdefault(cell.cut.criterion or "", []).append(cell)
    if set(found) <= {DEFAULT_CRITERION}:
        return [("", own) for own in found.values()]
    return [(f", by {name}", own) for name, own in found.items()]


def _pattern_tables(report: SensitivityReport) -> None:
    """Drops of weights cut in patterns: one table of all N:M, one for each kind of tile; and what makes each fast."""
    from core.profiling.hardware import requirement, requirement_text

    cells = [cell for cell in report.cells if is_pattern(cell.cut.granularity)]
    names = list(dict.fromkeys(cell.cut.granularity for cell in cells))
    fixed = [name for name in names if not parse_pattern(name).is_tiles]
    for by, of_fixed in _by_criterion([cell for cell in cells if cell.cut.granularity in fixed]):
        _print_grid(
            report,
            of_fixed,
            f"layer, N of every M stay{by}",
            {name: name for name in fixed},
            lambda c: (c.cut.target, c.cut.granularity),
        )
    for name in names:
        if name not in fixed:
            for by, of_name in _by_criterion([cell for cell in cells if cell.cut.granularity == name]):
                sparsities = sorted({cell.cut.sparsity or 0.0 for cell in of_name})
                columns = {sparsity: numbers.sparsity_text(sparsity) for sparsity in sparsities}
                corner = f"layer, tiles of {name}{by}"
                _print_grid(report, of_name, corner, columns, lambda c: (c.cut.target, c.cut.sparsity or 0.0))
    for name in names:
        Console(soft_wrap=True, highlight=False).print(f"To be fast: {requirement_text(requirement(name))}.")


def sweep_lines(run: Run, report: SensitivityReport) -> None:
    """What a search answered, what a sweep costs, and where it made full passes."""
    console = Console(soft_wrap=True, highlight=False)
    result = run.result or {}
    failures = {_failure_text(cell): None for cell in report.cells if cell.state == "failed"}
    for text in list(failures)[:MANY_FAILURES]:
        console.print(text)
    if len(failures) > MANY_FAILURES:
        console.print(f"{len(failures) - MANY_FAILURES} more failed; --json has all reasons.")
    answers = result.get("answers") or {}
    for target, answer in answers.items():
        console.print(f"{target}: {sweep_words.answer_text(report, answer)}")
    if answers:
        console.print(sweep_words.SEARCH_NOTE)
    if run.request.get("dry_run") and result.get("cost"):
        console.print(sweep_words.cost_text(result["cost"]))
    for line in sweep_words.full_pass_lines(result.get("full_passes") or ()):
        console.print(line)


def _failure_text(cell: CellResult) -> str:
    """A pattern that a layer cannot have fails alike at every sparsity, and is told of once."""
    what = cell.cut.curve if is_pattern(cell.cut.granularity) else cut_words.cut_text(cell.cut)
    return f"{what} failed: {cell.reason}"


def _print_grid(
    report: SensitivityReport, cells: Sequence[CellResult], corner: str, columns: Mapping[Any, str], place: Any
) -> None:
    rows: dict[str, dict[Any, str]] = {}
    between = interpolated(cells)
    for cell in cells:
        row, column = place(cell)
        rows.setdefault(row, {})[column] = sweep_words.cell_text(report.scale, cell, between.get(cell.cut))
    names = max([len(corner), *map(len, rows)])
    each = 2 + max(len(text) for texts in (columns, *rows.values()) for text in texts.values())
    at_once = max(1, (width() - names) // each)
    keys = list(columns)
    for start in range(0, len(keys), at_once):  # a narrow terminal gets several tables; no number is ever cut
        shown = keys[start : start + at_once]
        table = new_table(corner, *(columns[key] for key in shown))
        for name, texts in rows.items():
            table.add_row(name, *(texts.get(key, "") for key in shown))
        print_table(table)
