"""The map of a sweep: layers × sparsities, heads, channels, blocks and patterns."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from core import numbers
from core.cli.tables.frame import new_table, print_table, width
from core.jobs.first_parts import first_parts_text
from core.jobs.known.beside import N_ROWS, Beside, summary_text
from core.jobs.run import Run
from core.plans import cut_words
from core.plans.criteria import DEFAULT_CRITERION
from core.plans.patterns import is_pattern, parse_pattern
from core.sensitivity import sweep_words
from core.sensitivity.report import CellResult, SensitivityReport, default_tolerance, interpolated

MANY_FAILURES = 10  # one line each says enough


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
        + (
            "  ≈ some examples, and a forecast of the others."
            if any(c.stage == "forecast" for c in report.cells)
            else ""
        )
    )
    for line in (sweep_words.counts_text(report.cells), sweep_words.estimates_text(report)):
        if line:
            console.print(line)


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


def beside_table(report: SensitivityReport, rows: Sequence[Beside]) -> None:
    """Raw and repaired drops of the cuts that lose most when raw, and how often the repair helps."""
    if not rows:
        return
    table = new_table("cut", "raw", "repaired", "given back", right=("raw", "repaired", "given back"))
    for one in rows[:N_ROWS]:
        back = "" if one.regained is None else f"{100 * one.regained:.0f} %".replace("-", numbers.MINUS)
        drops = [f"{numbers.drop_text(report.scale, d.value)} {numbers.drop_interval(report.scale, d)}"
                 for d in (one.raw, one.repaired)]  # fmt: skip
        table.add_row(escape(cut_words.cut_text(one.cut)), *drops, back)
    print_table(table)
    console = Console(soft_wrap=True, highlight=False)
    if len(rows) > N_ROWS:
        console.print(f"The {N_ROWS} that lose most when raw, of {len(rows):,}.")
    console.print(summary_text(rows))


def sweep_lines(run: Run, report: SensitivityReport) -> None:
    """What a search answered, what a sweep costs, and where it made full passes."""
    console = Console(soft_wrap=True, highlight=False)
    result = run.result or {}
    failures = {_failure_text(cell): None for cell in report.cells if cell.state == "failed"}
    for text in list(failures)[:MANY_FAILURES]:
        console.print(text)
    if len(failures) > MANY_FAILURES:
        console.print(f"{len(failures) - MANY_FAILURES} more failed; --json has all reasons.")
    n, tolerance = result.get("n") or report.n_examples, result.get("tolerance")
    if not run.request.get("dry_run"):
        for text in sweep_words.few_lines(report.cells):
            console.print(text)
        if unseen := sweep_words.unseen_text(report.scale, n):
            console.print(f"{unseen}.")
    answers = result.get("answers") or {}
    for target, answer in answers.items():
        console.print(f"{target}: {sweep_words.answer_text(report, answer)}")
    if answers:
        console.print(sweep_words.SEARCH_NOTE)
    if tolerance is None and run.request.get("dry_run") and report.scale.unit == "fraction":
        tolerance = default_tolerance(report.scale, 1.0)  # what a map is looked at with
    if tolerance is not None and (enough := sweep_words.enough_text(report.scale, tolerance, n)):
        console.print(f"{enough}.")
    if run.request.get("dry_run") and result.get("cost"):
        console.print(sweep_words.cost_text(result["cost"]))
    if run.request.get("dry_run") and result.get("inputs"):
        console.print(result["inputs"])
    if first := first_parts_text(result):
        console.print(first)
    for line in (*sweep_words.full_pass_lines(result.get("full_passes") or ()), *(result.get("notes") or ())):
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
