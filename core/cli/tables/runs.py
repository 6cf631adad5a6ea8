"""Runs of the workspace, and what each found in the form that fits its kind."""

import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.markup import escape

from core import numbers
from core.certificates.certificate import Certificate
from core.certificates.certificate_words import certificate_line, certificate_notes
from core.cli.tables.delivered import measured_lines, variants_table
from core.cli.tables.frame import new_table, print_table
from core.cli.tables.pairs import pairs_table
from core.cli.tables.recoveries import recovery_table, tickets_table
from core.cli.tables.sweeps import beside_table, sweep_lines, sweep_tables
from core.delivery import bundle_words
from core.jobs.known import left_out, search_words
from core.jobs.known.beside import beside_raw
from core.jobs.places.joined import joined
from core.jobs.queue import place_of
from core.jobs.run import Run
from core.jobs.run_words import removed_words, when_text
from core.jobs.runs import RunStore
from core.jobs.state_words import state_text
from core.plans.repairs import REPAIRS, repair_words
from core.quantization import quantization_words
from core.sensitivity import sweep_words
from core.workload.scale import Scale

_COLUMNS = ("kind", "removes", "model", "state", "done", "started", "took")
NOTE_WIDTH = 60  # --json has all of it


def runs_table(
    runs: Sequence[Run],
    queue: Sequence[Run] = (),
    is_all: bool = True,
    helping: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """One line per run; columns of names and notes where a run has one.

    Args:
        runs: in the order of the lines.
        queue: those that wait, who is next first.
        is_all: none was left out.
        helping: by run, the workers that help it now.
    """
    if not runs:
        first = "No runs yet. `secateur sweep fashion-resnet` makes the first."
        Console().print(first if is_all else "No such runs; `secateur runs` lists them all.")
        return
    labelled = any(run.name or run.note or run.star for run in runs)
    table = new_table("run", *(["", "name"] if labelled else []), *_COLUMNS, *(["note"] if labelled else []))

    def row(run: Run) -> list[str]:
        took = numbers.seconds_text(run.ended - run.started) if run.ended and run.started else ""
        done = numbers.share_text(run.share) if run.total else ""
        state = state_text(run, place_of(run.id, queue))
        if n := helping.get(run.id, 0):
            state += f", {n} worker{'s' * (n > 1)} beside its own"
        told = (kind_text(run), removed_words(run.request), run.workload, state, done, when_text(run), took)
        label = ("★" if run.star else "", run.name or "") if labelled else ()
        note = (textwrap.shorten(run.note or "", NOTE_WIDTH, placeholder=" …"),) if labelled else ()
        return [run.id, *map(escape, (*label, *told, *note))]  # what a person wrote is no markup

    for texts in left_out.readable(runs, row, lambda run: f"run {run.id}"):
        table.add_row(*texts)
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
        else (
            store.profile_report(run)
            or store.pairs_report(run)
            or store.undo_report(run)
            or store.quantization_report(run)
            or store.pays_report(run)
            or store.frontier_report(run)
            or store.stairs_report(run)
        )
    )
    return {"run": run.to_json(), "report": report.to_json() if report else None}


def _factor(store: RunStore, run: Run) -> float:
    """Of the metric's scale, for commands in which drops are typed."""
    known = store.description(run.workload)
    return known[0].scale.factor if known else 1.0


def run_result(store: RunStore, run: Run) -> None:
    """Print what a run found, in the form that fits its kind."""
    console = Console(soft_wrap=True)
    name = f"{'★ ' if run.star else ''}{run.name}  " if run.name or run.star else ""
    console.print(f"{name}run {run.id}  {run.kind}  {run.workload}  {state_text(run)}", highlight=False, markup=False)
    if run.note:
        console.print(run.note, highlight=False, markup=False)
    if run.error:
        console.print(run.error, style="red", highlight=False)
    if (before := store.of_other_data(run)) is not None:
        console.print(sweep_words.other_data_text(before.id), highlight=False)
    if run.damaged:
        console.print(sweep_words.damage_text(run.damaged), highlight=False)
    for one in joined(run):
        console.print(f"{one.text[0].upper()}{one.text[1:]}.", highlight=False)
    if run.request.get("shard"):
        from core.jobs.merging.shards import shard_line

        console.print(shard_line(run, _factor(store, run)), highlight=False, markup=False)
        if run.kind != "sweep":
            return  # evidence alone
    report = store.report(run) if run.kind == "sweep" else None
    if report:
        if not run.request.get("dry_run"):  # a few cells on a few examples are no map
            if repair := run.request.get("repair"):
                console.print(f"Every cut {repair_words(repair)}: {REPAIRS[repair]}.", highlight=False)
            sweep_tables(report)
            beside_table(report, beside_raw(store, run, report))
        sweep_lines(run, report)
    elif (found := store.pairs_report(run)) is not None:
        pairs_table(found)
        for line in sweep_words.full_pass_lines((run.result or {}).get("full_passes") or ()):
            console.print(line, highlight=False)
    elif (inside := store.undo_report(run)) is not None:
        from core.cli.tables.undo import undo_tables

        undo_tables(inside)
    elif (mapped := store.quantization_report(run)) is not None:
        from core.cli.tables.quantization import quantization_tables

        quantization_tables(mapped)
    elif run.result and run.kind == "measure":
        measured_lines(run.result)
        for line in search_words.group_lines(Scale.from_json(run.result["metric"]), run.result):
            console.print(line, highlight=False, markup=False)
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
            console.print(line, highlight=False, markup=False)  # a group may have any name
    elif run.result and run.kind == "recover":
        recovery_table(run)
    elif run.result and run.kind == "tickets":
        tickets_table(run)
    elif (profiled := store.profile_report(run)) is not None:
        from core.cli.tables.profiles import profile_tables  # which is made of what stands here

        profile_tables(profiled)
    elif (paying := store.pays_report(run)) is not None:
        from core.cli.tables.engines import pays_table

        pays_table(paying)
    elif (drawn := store.frontier_report(run)) is not None:
        from core.cli.tables.frontier import frontier_table

        frontier_table(drawn)
    elif (stairs := store.stairs_report(run)) is not None:
        from core.cli.tables.engines import stairs_table

        stairs_table(stairs)
    elif run.result and run.kind == "quantize":
        for line in quantization_words.quantized_lines({**run.result, "path": str(store.quantized_file(run))}):
            console.print(line, highlight=False)
    elif run.result and run.kind == "certify" and run.result["certificate"]:
        said = Certificate.from_json(run.result["certificate"])
        for line in (certificate_line(said), *certificate_notes(said)):
            console.print(line, highlight=False)
    elif run.result and run.kind == "gate":
        told = ", ".join(str(number) for number in run.result["looks"].values())
        console.print(f"A gate compared models on examples that are set aside; there they are number {told}.")
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
            *bundle_words.shape_lines(manifest),
            *bundle_words.config_lines(manifest),
            *bundle_words.weightless_lines(manifest),
            *bundle_words.not_run_lines(manifest),
            *bundle_words.off_blocks_lines(manifest),
            *bundle_words.refused_lines(manifest),
            *bundle_words.certificate_lines(manifest),
        ):  # fmt: skip
            console.print(line, highlight=False)
